//! The terminal as a screen: its own page, keys one by one, and everything as it was at the end,
//! however that comes.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Once;
use std::time::Instant;

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::top::Key;
use crate::top::screen::Size;

/// To another page, without a cursor (xterm's private modes 1049 and 25).
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// Back.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Where a terminal doesn't tell its size.
const USUAL: (usize, usize) = (80, 24);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The time has come.
    Time,
    /// A key of ours.
    Key(Key),
    /// The terminal has another size.
    Resized,
    /// A signal or the terminal's end.
    Ended,
}

/// The terminal; dropped, it is as it was.
pub struct Terminal {
    runtime: Runtime,
    input: AsyncFd<OwnedFd>,
    signals: Signals,
    before: Termios,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    resized: Signal,
}

impl Terminal {
    /// Takes the terminal that standard input and output are.
    ///
    /// # Errors
    /// If they are none.
    pub fn open() -> io::Result<Terminal> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            resized: signal(SignalKind::window_change())?,
        };
        let before = tcgetattr(io::stdin())?;
        let input = watch(io::stdin().as_fd())?;
        restore_on_panic(&before);
        let mut raw = before.clone();
        raw.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        drop(entered);
        let terminal = Terminal {
            runtime,
            input,
            signals,
            before,
        };
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        put(ENTER)?;
        Ok(terminal)
    }

    /// How much room there is.
    pub fn size(&self) -> Size {
        let told = tcgetwinsize(io::stdout()).ok();
        let told = told.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        let (columns, lines) = told.filter(|(c, l)| *c > 0 && *l > 0).unwrap_or(USUAL);
        Size {
            columns,
            lines: Some(lines),
        }
    }

    /// Shows lines from the top on, over what was there.
    pub fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (at, line) in lines.iter().enumerate() {
            // Each line is cleared before it is written: behind a full line the cursor is still on its
            // last column. The last line has no end, which would scroll.
            let end = if at + 1 < lines.len() { "\r\n" } else { "" };
            let plain: String = line.chars().filter(|c| !c.is_control()).collect();
            let _ = write!(text, "\x1b[2K{plain}{end}");
        }
        put(&text)
    }

    /// Waits for something to happen, until then at the latest.
    pub fn wait(&mut self, until: Instant) -> io::Result<Event> {
        let (input, signals) = (&self.input, &mut self.signals);
        self.runtime.block_on(async {
            loop {
                tokio::select! {
                    ready = input.readable() => {
                        let mut ready = ready?;
                        let mut byte = [0];
                        let count = rustix::io::read(io::stdin().as_fd(), &mut byte)?;
                        if count == 0 {
                            // Nothing is there after all, unless the terminal has gone.
                            tcgetattr(io::stdin())?;
                            ready.clear_ready();
                        } else if let Some(key) = Key::of(byte[0]) {
                            return Ok(Event::Key(key));
                        }
                    }
                    _ = signals.terminate.recv() => return Ok(Event::Ended),
                    _ = signals.interrupt.recv() => return Ok(Event::Ended),
                    _ = signals.hangup.recv() => return Ok(Event::Ended),
                    _ = signals.resized.recv() => return Ok(Event::Resized),
                    () = tokio::time::sleep_until(until.into()) => return Ok(Event::Time),
                }
            }
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore(&self.before);
    }
}

/// Waits for what a descriptor has to read.
#[expect(
    deprecated,
    reason = "what replaces it is unsafe; an OwnedFd is always the same open descriptor"
)]
fn watch(fd: BorrowedFd<'_>) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd.try_clone_to_owned()?, Interest::READABLE)
}

fn restore(before: &Termios) {
    // Nobody is left to tell.
    let _ = put(LEAVE);
    let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
}

/// Has what a panic says be read: it would stand on the page that is left.
fn restore_on_panic(before: &Termios) {
    static HOOK: Once = Once::new();
    let before = before.clone();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore(&before);
            usual(panic);
        }));
    });
}

fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
