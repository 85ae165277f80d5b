//! The words rules and sites share.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines a closed vocabulary: its words, parsing and printing in one place.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every word, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// What such a word is called in messages.
            pub const WHAT: &'static str = $what;

            /// The word.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl crate::config::Word for $name {
            const NAME: &'static str = $what;
            fn all() -> &'static [Self] { Self::ALL }
            fn text(self) -> &'static str { self.word() }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.word()) }
        }
    };
}

words! {
    /// What a host is in a restore.
    Role, "role" {
        /// Runs the product's user interface.
        Console = "console",
        /// The product's server.
        BackupServer = "backup-server",
        /// Mounts the backup and serves its disks.
        MountServer = "mount-server",
        /// Runs the data mover beside the backup files: server, extent or gateway.
        Repository = "repository",
        /// Windows host that the database is restored to.
        TargetWindows = "target-windows",
        /// Host that a database is staged on for export, transaction-level restore or exploring.
        StagingServer = "staging-server",
        /// Linux host that the database is restored to.
        TargetLinux = "target-linux",
    }
}

words! {
    /// Which of the vendor's two tables applies.
    Scenario, "scenario" {
        /// Backups of whole machines.
        ImageLevel = "image-level",
        /// Backups written by the database plug-in.
        PlugIn = "plug-in",
    }
}

words! {
    /// What is being done with the backup.
    Operation, "operation" {
        /// Restore of databases to a target.
        ApplicationItem = "application-item",
        /// Publishing a database from the backup.
        Publish = "publish",
        /// Export of database files or backups.
        Export = "export",
        /// Running the database from the backup while it is restored.
        InstantRecovery = "instant-recovery",
        /// Restore started in Enterprise Manager.
        EnterpriseManager = "enterprise-manager",
    }
}

words! {
    /// How much a flow is needed; ordered by strength.
    Need, "need" {
        /// Allowed; nothing follows from its absence.
        Permitted = "permitted",
        /// Usually there; blocked fails the verdict, absent does not.
        Expected = "expected",
        /// The restore cannot have worked without it.
        Required = "required",
    }
}

words! {
    /// Operating system of a staging server.
    Os, "operating system" {
        /// Windows
        Windows = "windows",
        /// Linux
        Linux = "linux",
    }
}

words! {
    /// What an export writes.
    ExportAs, "export format" {
        /// An RMAN backup.
        Rman = "rman",
        /// Database files.
        Files = "files",
    }
}

words! {
    /// Which state of the database is restored.
    RestoreTo, "restore point" {
        /// The state of the backup.
        Latest = "latest",
        /// A point in time.
        Time = "time",
        /// A chosen transaction.
        Transaction = "transaction",
    }
}

words! {
    /// Who started a plug-in restore.
    StartedFrom, "starting point" {
        /// The product's console.
        Console = "console",
        /// The database's own RMAN.
        Rman = "rman",
    }
}

words! {
    /// What a rule's port carries, where the field knows.
    Carries, "protocol" {
        /// SSH
        Ssh = "ssh",
        /// TLS
        Tls = "tls",
        /// SMB
        Smb = "smb",
        /// DCE/RPC, the endpoint mapper included.
        Rpc = "rpc",
        /// iSCSI
        Iscsi = "iscsi",
        /// The vendor's own protocol: nothing is expected of its bytes.
        Vendor = "vendor",
    }
}

impl Operation {
    /// Whether plug-in backups know it: they are only restored, never published, exported or run from the backup.
    pub const fn in_plug_in(self) -> bool {
        matches!(self, Self::ApplicationItem | Self::EnterpriseManager)
    }
}
