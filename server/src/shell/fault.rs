//! What happens when the program itself is wrong: it ends at once, and says why.
//!
//! A panic leaves the hub half changed, or takes a thread away that the others count on. Nobody could tell what
//! such a server still keeps of its promises, so there is none: a supervisor starts a new one, which begins with what
//! was durable.

use std::{
    any::Any,
    io::Write,
    panic::{self, PanicHookInfo},
    process, thread,
    time::Duration,
};

use protocol::printable::Excerpt;

use super::log_writer::{self, LogWriter};

const EXIT_CODE: i32 = 1;
/// How long the last words may take, whatever lock or pipe they hang on.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_millis(500);
/// A panic may show what a stranger has sent.
const CHARS_MAX: usize = 200;

/// From here on, a panic in any thread ends the process.
pub(super) fn end_process_on_panic(log: LogWriter) {
    panic::set_hook(Box::new(move |panic| {
        let timer = thread::Builder::new().name("end".to_owned()).spawn(|| {
            thread::sleep(LAST_WORDS_TIME_MAX);
            process::exit(EXIT_CODE);
        });
        // Without the timer there may be no end to the words, so there are none.
        if timer.is_ok() {
            say(&last_words(panic), &log);
        }
        process::exit(EXIT_CODE);
    }));
}

fn say(text: &str, log: &LogWriter) {
    if thread::current().name() == Some(log_writer::THREAD) {
        let _ = writeln!(std::io::stderr(), "parlour-server: {text}");
    } else {
        log::error!("{text}");
        log.finish();
    }
}

fn last_words(panic: &PanicHookInfo<'_>) -> String {
    let text = Excerpt { text: message(panic.payload()), chars_max: CHARS_MAX };
    let thread = thread::current().name().unwrap_or("unnamed").to_owned();
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    format!(
        "a fault of the server's own, please report it: {text}, in thread {thread}{}. It stops at once.",
        place.unwrap_or_default()
    )
}

fn message(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no message",
    }
}
