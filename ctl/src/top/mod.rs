//! Live rates of ports and flows: `vsctl top`. Pure: from two looks at the switch and what the user
//! asked for to lines of text; `manage::top` looks, draws and listens to keys.

pub mod options;
pub mod rates;
pub mod screen;
pub mod view;

pub use options::{Options, OptionsError};
pub use rates::{Look, Rates, rates};
pub use screen::screen;
pub use view::{Key, Sort, View};

#[cfg(test)]
mod tests;
