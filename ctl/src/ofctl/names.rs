//! Names of a switch's ports and tables.

use std::collections::BTreeMap;

use aorta_flow::OfPort;
use aorta_flow::text::Names;
use aorta_openflow::message::{MultipartReply, MultipartRequest, PortDesc, TableFeaturesRequest};
use aorta_openflow::text::show;
use aorta_openflow::{Message, Version};

use super::Ofctl;
use super::client::{Client, ERROR};
use super::error::OfctlError;

/// Names both ways; one that several have is none's.
#[derive(Debug, Default)]
pub struct SwitchNames {
    ports: BTreeMap<String, Option<OfPort>>,
    port_names: BTreeMap<OfPort, String>,
    tables: BTreeMap<String, Option<u8>>,
    table_names: BTreeMap<u8, String>,
}

impl SwitchNames {
    fn add_port(&mut self, port: &PortDesc) {
        let place = self.ports.entry(port.name.clone());
        let numbers = place
            .and_modify(|found| *found = None)
            .or_insert(Some(port.port));
        if numbers.is_some() {
            self.port_names.insert(port.port, port.name.clone());
        }
    }

    fn add_table(&mut self, table: u8, name: &str) {
        // Tables that have no name are told with an empty one.
        if name.is_empty() {
            return;
        }
        let place = self.tables.entry(name.to_owned());
        let numbers = place
            .and_modify(|found| *found = None)
            .or_insert(Some(table));
        if numbers.is_some() {
            self.table_names.insert(table, name.to_owned());
        }
    }
}

impl Names for SwitchNames {
    fn port(&self, name: &str) -> Option<OfPort> {
        self.ports.get(name).copied().flatten()
    }

    fn port_name(&self, port: OfPort) -> Option<&str> {
        let name = self.port_names.get(&port)?;
        self.port(name).map(|_| name.as_str())
    }

    fn table(&self, name: &str) -> Option<u8> {
        self.tables.get(name).copied().flatten()
    }

    fn table_name(&self, table: u8) -> Option<&str> {
        self.table_names.get(&table).map(String::as_str)
    }
}

/// No names.
static NOTHING: SwitchNames = SwitchNames {
    ports: BTreeMap::new(),
    port_names: BTreeMap::new(),
    tables: BTreeMap::new(),
    table_names: BTreeMap::new(),
};

impl Ofctl {
    /// Names that texts may use.
    pub fn names_to_read(&self, target: &str) -> Result<&SwitchNames, OfctlError> {
        match self.settings.names {
            Some(false) => Ok(&NOTHING),
            _ => self.names_of(target),
        }
    }

    /// Names that are printed.
    pub fn names_to_show(&self, target: &str) -> Result<&SwitchNames, OfctlError> {
        match self.shows_names() {
            false => Ok(&NOTHING),
            true => self.names_of(target),
        }
    }

    /// Asks for the names, once, by connections of its own.
    fn names_of(&self, target: &str) -> Result<&SwitchNames, OfctlError> {
        if let Some(names) = self.names.get() {
            return Ok(names);
        }
        let mut names = SwitchNames::default();
        for (table, name) in self.table_list(target)? {
            names.add_table(table, &name);
        }
        let (_, ports) = self.port_list(target)?;
        for port in &ports {
            names.add_port(port);
        }
        Ok(self.names.get_or_init(|| names))
    }

    fn table_list(&self, target: &str) -> Result<Vec<(u8, String)>, OfctlError> {
        let mut client = self.open(target)?;
        let request = match client.version < Version::OpenFlow13 {
            true => MultipartRequest::Table,
            false => MultipartRequest::TableFeatures(TableFeaturesRequest::default()),
        };
        let mut tables = Vec::new();
        client.parts(request, |reply| {
            match reply {
                MultipartReply::Table(found) => {
                    tables.extend(found.into_iter().map(|t| (t.table, t.features.name)));
                }
                MultipartReply::TableFeatures(found) => {
                    tables.extend(found.into_iter().map(|t| (t.table, t.name)));
                }
                _ => {}
            };
        })?;
        Ok(tables)
    }

    /// The switch's ports, and its version.
    pub fn port_list(&self, target: &str) -> Result<(Version, Vec<PortDesc>), OfctlError> {
        let mut client = self.open(target)?;
        let ports = client.ports()?;
        Ok((client.version, ports))
    }
}

impl Client<'_> {
    /// Asks for all ports.
    pub fn ports(&mut self) -> Result<Vec<PortDesc>, OfctlError> {
        if self.version < Version::OpenFlow13 {
            let received = self.transact(Message::FeaturesRequest)?;
            return match self.read(&received)?.message {
                Message::FeaturesReply(features) => Ok(features.ports),
                _ => Err(self.not_the_protocol()),
            };
        }
        let mut ports = Vec::new();
        self.parts(MultipartRequest::PortDesc(OfPort::ANY), |reply| {
            if let MultipartReply::PortDesc(found) = reply {
                ports.extend(found);
            }
        })?;
        Ok(ports)
    }

    /// Asks for something that comes in parts, and takes all of them.
    ///
    /// # Errors
    /// With the text of the switch's message if it refuses.
    pub fn parts(
        &mut self,
        request: MultipartRequest,
        mut take: impl FnMut(MultipartReply),
    ) -> Result<(), OfctlError> {
        let xid = self.send(Message::Request(request))?;
        loop {
            let received = self.recv_of(xid)?;
            if received.kind == ERROR {
                let style = aorta_openflow::text::Style {
                    names: &NOTHING,
                    verbosity: 1,
                };
                let text = show(&received.bytes, self.context, style);
                return Err(OfctlError::Refused(text));
            }
            match self.read(&received)?.message {
                Message::Reply { reply, more } => {
                    take(reply);
                    if !more {
                        return Ok(());
                    }
                }
                _ => return Err(self.not_the_protocol()),
            }
        }
    }
}
