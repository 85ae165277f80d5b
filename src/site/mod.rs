//! The site: hosts, roles, operations, observation points and exceptions.

mod model;

pub use crate::config::{ConfigError, LoadError, nearest};
pub use model::{Allow, AllowPeer, Change, Host, HostId, Override, Place, PointDecl, Site, Window};
