//! The site: hosts, roles, operations, observation points and exceptions.

mod advice;
mod exceptions;
mod filter;
mod hosts;
mod load;
mod model;
mod points;
mod times;

pub use crate::config::{ConfigError, LoadError, nearest};
pub use filter::{capture_filters, hides_nothing, widened};
pub use load::load;
pub use model::{Allow, AllowPeer, Change, Host, HostId, Override, Place, PointDecl, Site, Window};
pub use times::window;
