//! Bundles: changes that are collected and then done together (OpenFlow 1.4.1 §6.8). Pure.

use std::time::Duration;

use aorta_openflow::Message;
use aorta_openflow::error::ErrorCode;
use aorta_openflow::message::{BundleAdd, BundleControl, BundleControlKind, BundleFlags};

use super::Connection;
use crate::ofproto::Moment;

/// A bundle to which nothing is added for so long is forgotten.
pub const IDLE: Duration = Duration::from_secs(10);

/// A message in a bundle.
#[derive(Debug)]
pub struct Entry {
    /// Its transaction.
    pub xid: u32,
    /// What it says.
    pub message: Message,
    /// Its first bytes, for errors.
    pub quote: Vec<u8>,
}

/// A bundle of a connection.
#[derive(Debug)]
pub struct Bundle {
    /// How it is done.
    pub flags: BundleFlags,
    /// What is in it.
    pub entries: Vec<Entry>,
    closed: bool,
    used: Moment,
    /// The request that opened it.
    opened: (u32, Box<[u8]>),
}

/// What comes of a control message.
#[derive(Debug)]
pub enum Controlled {
    /// It is answered.
    Done,
    /// This is to be done, and answered then.
    Commit(Bundle),
}

impl Connection {
    /// Follows a control message.
    ///
    /// # Errors
    /// With what is told to the other side; the bundle is gone then.
    pub fn control_bundle(
        &mut self,
        control: BundleControl,
        (xid, quote): (u32, &[u8]),
        now: Moment,
    ) -> Result<Controlled, ErrorCode> {
        let BundleControl { id, kind, flags } = control;
        match kind {
            BundleControlKind::OpenRequest => {
                if self.bundles.remove(&id).is_some() {
                    return Err(ErrorCode::OFPBFC_BAD_ID);
                }
                let opened = (xid, quote.into());
                self.bundles.insert(id, Bundle::new(flags, opened, now));
            }
            BundleControlKind::CloseRequest => {
                let mut bundle = self.take_bundle(id, Some(flags))?;
                if bundle.closed {
                    return Err(ErrorCode::OFPBFC_BUNDLE_CLOSED);
                }
                bundle.closed = true;
                bundle.used = now;
                self.bundles.insert(id, bundle);
            }
            BundleControlKind::CommitRequest => {
                return Ok(Controlled::Commit(self.take_bundle(id, Some(flags))?));
            }
            BundleControlKind::DiscardRequest => drop(self.take_bundle(id, None)?),
            _ => return Err(ErrorCode::OFPBFC_BAD_TYPE),
        }
        let kind = kind.reply();
        self.reply(
            xid,
            Message::BundleControl(BundleControl { kind, ..control }),
        );
        Ok(Controlled::Done)
    }

    fn take_bundle(&mut self, id: u32, flags: Option<BundleFlags>) -> Result<Bundle, ErrorCode> {
        let bundle = self.bundles.remove(&id).ok_or(ErrorCode::OFPBFC_BAD_ID)?;
        match flags {
            Some(flags) if flags != bundle.flags => Err(ErrorCode::OFPBFC_BAD_FLAGS),
            _ => Ok(bundle),
        }
    }

    /// Adds to a bundle, which is opened if it isn't there.
    ///
    /// # Errors
    /// With what is told to the other side.
    pub fn add_to_bundle(
        &mut self,
        add: BundleAdd,
        (xid, quote): (u32, &[u8]),
        now: Moment,
    ) -> Result<(), ErrorCode> {
        let BundleAdd {
            id,
            flags,
            message,
            quote: own_quote,
        } = add;
        match message.message {
            Message::FlowMod(_)
            | Message::GroupMod(_)
            | Message::PortMod(_)
            | Message::PacketOut(_) => {}
            _ => return Err(ErrorCode::OFPBFC_MSG_UNSUP),
        }
        if message.xid != xid {
            return Err(ErrorCode::OFPBFC_MSG_BAD_XID);
        }
        let known = self.bundles.contains_key(&id);
        let mut bundle = match known {
            true => self.take_bundle(id, Some(flags))?,
            false => Bundle::new(flags, (xid, quote.into()), now),
        };
        if bundle.closed {
            return Err(ErrorCode::OFPBFC_BUNDLE_CLOSED);
        }
        bundle.used = now;
        bundle.entries.push(Entry {
            xid,
            message: message.message,
            quote: own_quote,
        });
        self.bundles.insert(id, bundle);
        Ok(())
    }

    /// When a bundle will have waited for too long.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.bundles.values().map(|bundle| bundle.used + IDLE).min()
    }

    /// Forgets the bundles that have waited for too long, and says so.
    pub fn time_out(&mut self, now: Moment) {
        let bundles = std::mem::take(&mut self.bundles);
        let over = |(_, bundle): &(u32, Bundle)| bundle.used + IDLE <= now;
        let (gone, waiting): (Vec<_>, Vec<_>) = bundles.into_iter().partition(over);
        self.bundles = waiting.into_iter().collect();
        for (_, bundle) in gone {
            let (xid, quote) = &bundle.opened;
            self.refuse(*xid, quote, ErrorCode::OFPBFC_TIMEOUT);
            // It belongs to no batch.
            self.wake();
        }
    }
}

impl Bundle {
    fn new(flags: BundleFlags, opened: (u32, Box<[u8]>), now: Moment) -> Bundle {
        Bundle {
            flags,
            entries: Vec::new(),
            closed: false,
            used: now,
            opened,
        }
    }
}
