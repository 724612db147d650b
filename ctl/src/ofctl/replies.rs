//! Requests whose replies are printed as they come.

use aorta_openflow::Message;
use aorta_openflow::message::MultipartRequest;
use aorta_openflow::text::show;

use super::client::{Client, ERROR, Received};
use super::error::OfctlError;
use super::{Done, OK, Ofctl};

impl Ofctl {
    /// A message of the switch as text.
    pub fn text(
        &self,
        client: &Client<'_>,
        received: &Received,
        more: u8,
    ) -> Result<String, OfctlError> {
        let names = self.names_to_show(&client.target)?;
        Ok(show(
            &received.bytes,
            client.context,
            self.style(names, more),
        ))
    }

    /// Asks a switch for something and prints what comes: all parts of a reply, or an error.
    pub fn dump(&self, target: &str, request: MultipartRequest) -> Done {
        let mut client = self.open(target)?;
        self.dump_from(&mut client, request)
    }

    /// The same over a connection that there is.
    pub fn dump_from(&self, client: &mut Client<'_>, request: MultipartRequest) -> Done {
        let xid = client.send(Message::Request(request))?;
        loop {
            let received = client.recv_of(xid)?;
            self.print(&self.text(client, &received, 1)?)?;
            let more = received.kind != ERROR
                && matches!(
                    client.read(&received).map(|envelope| envelope.message),
                    Ok(Message::Reply { more: true, .. })
                );
            if !more {
                return Ok(OK);
            }
        }
    }

    /// Asks for something that comes in one message and prints it, over a connection of its own.
    pub fn dump_one(&self, target: &str, message: Message) -> Done {
        let mut client = self.open(target)?;
        let received = client.transact(message)?;
        self.print(&self.text(&client, &received, 1)?)?;
        Ok(OK)
    }

    /// Has a switch do something.
    ///
    /// # Errors
    /// With the text of its message if it refuses.
    pub fn command(&self, client: &mut Client<'_>, message: Message) -> Result<(), OfctlError> {
        match client.command(message)? {
            Ok(()) => Ok(()),
            Err(refusal) => Err(self.refusal(client, &refusal)),
        }
    }

    /// A switch's refusal, in its words.
    pub fn refusal(&self, client: &Client<'_>, refusal: &Received) -> OfctlError {
        match self.text(client, refusal, 2) {
            Ok(text) => OfctlError::Refused(text),
            Err(error) => error,
        }
    }
}
