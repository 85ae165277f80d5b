//! The site: hosts, roles, operations, observation points and exceptions, and errors that point at the line.

mod error;
mod model;

pub use error::{ConfigError, nearest};
pub use model::{Allow, AllowPeer, Change, Host, HostId, Override, Place, PointDecl, Site, Window};
