//! Going through the roles of a draft on the terminal. Questions go to standard error, answers come line by line.

use std::io::{self, BufRead, IsTerminal as _, Write as _};
use std::net::IpAddr;

use portwitness::base::{RunError, visible};
use portwitness::matrix::Role;
use portwitness::verdict::{Draft, where_to_look};

const HOW: &str = "\
Which host had which role in the restore? Enter takes what is in brackets,
\"-\" is none, spaces separate addresses, \"?\" says where to look.
";

/// Whether there is somebody to ask.
///
/// # Errors
/// Standard input is no terminal, or is needed for a capture.
pub(super) fn possible(not_a_terminal: bool, capture_there: bool) -> Result<(), RunError> {
    if capture_there {
        return Err(RunError::Config("--ask needs standard input for answers; name the capture as a file".to_owned()));
    }
    if !not_a_terminal && !io::stdin().is_terminal() {
        let text = "--ask needs a terminal, and standard input is none; leave --ask out for a draft without questions";
        return Err(RunError::Config(text.to_owned()));
    }
    Ok(())
}

/// Asks for every role; the draft then holds the answers.
///
/// # Errors
/// The answers end before the questions do.
pub(super) fn roles(draft: &mut Draft) -> Result<(), RunError> {
    say(HOW);
    for &role in Role::ALL {
        let suggested = draft.with_role(role);
        for addr in &suggested {
            if let Some(because) = draft.reason(*addr, role) {
                say(&format!("  {addr} {}\n", visible(because)));
            }
        }
        let addrs = loop {
            let shown = suggested.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            say(&format!("{role} [{}]: ", if shown.is_empty() { "-" } else { &shown }));
            match understood(&answer(role)?, &suggested) {
                Ok(Some(addrs)) => match conflict(draft, role, &addrs) {
                    None => break addrs,
                    Some(why) => say(&why),
                },
                Ok(None) => say(&format!("  {}\n", where_to_look(role))),
                Err(why) => say(&why),
            }
        };
        draft.set_role(role, &addrs);
    }
    Ok(())
}

/// What was meant: addresses, or `None` for a question.
fn understood(answer: &str, suggested: &[IpAddr]) -> Result<Option<Vec<IpAddr>>, String> {
    match answer {
        "" => Ok(Some(suggested.to_vec())),
        "-" => Ok(Some(Vec::new())),
        "?" => Ok(None),
        words => {
            words.split([' ', ',', '\t']).filter(|w| !w.is_empty()).map(address).collect::<Result<_, _>>().map(Some)
        }
    }
}

fn address(word: &str) -> Result<IpAddr, String> {
    let addr = word.parse::<IpAddr>().map(|a| a.to_canonical());
    let of_host = |a: &IpAddr| {
        let broadcast = matches!(a, IpAddr::V4(v4) if v4.is_broadcast());
        !a.is_unspecified() && !a.is_multicast() && !broadcast
    };
    addr.ok().filter(of_host).ok_or_else(|| {
        format!("  '{}' is not the address of a host; expected one such as 10.77.0.12, \"-\" or \"?\"\n", visible(word))
    })
}

/// One host has one operating system.
fn conflict(draft: &Draft, role: Role, addrs: &[IpAddr]) -> Option<String> {
    let other = match role {
        Role::TargetWindows => Role::TargetLinux,
        Role::TargetLinux => Role::TargetWindows,
        _ => return None,
    };
    let taken = draft.with_role(other);
    // Windows is asked for first; a suggestion for Linux is still to be confirmed then.
    let both = addrs.iter().find(|a| taken.contains(a)).filter(|_| role == Role::TargetLinux)?;
    Some(format!("  {both} is {other} already; a host has one operating system\n"))
}

/// One line, without its end and the spaces around it.
fn answer(role: Role) -> Result<String, RunError> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    let failed = |source| RunError::Io { path: "standard input".into(), doing: "read", source };
    if read.map_err(failed)? == 0 {
        say("\n");
        return Err(RunError::Config(format!("the answers ended at '{role}'; nothing was written")));
    }
    Ok(line.trim().to_owned())
}

fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    // Where standard error is closed nobody reads the questions; the answers may still come.
    let _said = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}
