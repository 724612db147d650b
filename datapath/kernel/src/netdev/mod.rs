//! Network devices through rtnetlink.
