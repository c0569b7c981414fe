//! Where hubs listen and how clients find them.
//!
//! Every hub owns one Unix socket named after its process id in a directory
//! that only its user can enter: `$XDG_RUNTIME_DIR/liveloop`, or
//! `liveloop-UID` in the temporary directory. A socket whose process is gone is
//! left over from a crash and is removed by whoever finds it.
//!
//! Only Unix is implemented; on a system without Unix sockets this is the one
//! module to extend (a loopback port with a token in the same directory).

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::message::{Event, Request};
use crate::{PROTOCOL_VERSION, wire};

/// Why no hub could be reached or opened.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// No hub of this user runs.
    #[error("no running engine found; start one with `cargo run engine`")]
    NoneRunning,
    /// More than one hub runs and none was named.
    #[error("several engines are running; name one with --attach PID:{}", list(.0))]
    Several(Vec<RunningHub>),
    /// The named hub is not there.
    #[error("cannot attach to {path}: is the engine still running?")]
    Unreachable {
        /// Its socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something that no hub left behind is where the socket should be.
    #[error("cannot listen at {path}: {what}; {todo}")]
    Occupied {
        /// The socket that was asked for.
        path: PathBuf,
        /// What is there.
        what: &'static str,
        /// What to do about it.
        todo: &'static str,
    },
    /// The directory for sockets is not private.
    #[error("{path} belongs to someone else or can be entered by others; remove it and try again")]
    NotPrivate {
        /// The directory.
        path: PathBuf,
    },
    /// The directory or the socket cannot be made.
    #[error("cannot listen at {path}")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A hub that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningHub {
    /// Process id of its supervisor.
    pub pid: u32,
    /// Its project's root directory; `None` if it did not say in time.
    pub root: Option<String>,
}

fn list(hubs: &[RunningHub]) -> String {
    let line = |hub: &RunningHub| {
        let root = hub.root.as_deref().unwrap_or("(does not answer)");
        format!("\n  {}  {root}", hub.pid)
    };
    hubs.iter().map(line).collect()
}

/// How long a hub may take to say where its project is.
const INTRODUCTION: Duration = Duration::from_secs(1);

/// Asks a hub where its project is.
fn introduce(pid: u32) -> RunningHub {
    let root = || {
        let mut stream = UnixStream::connect(socket_path(pid)).ok()?;
        stream.set_read_timeout(Some(INTRODUCTION)).ok()?;
        stream.set_write_timeout(Some(INTRODUCTION)).ok()?;
        let hello = Request::Hello {
            protocol: PROTOCOL_VERSION,
            client: "inspector".to_owned(),
        };
        wire::write(&mut stream, &hello).ok()?;
        match wire::read(&mut stream).ok()? {
            Event::Welcome { root, .. } => Some(root),
            _ => None,
        }
    };
    RunningHub { pid, root: root() }
}

/// The directory that holds this user's sockets. It may not exist yet.
pub fn socket_dir() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir).join("liveloop"),
        None => std::env::temp_dir().join(format!("liveloop-{}", user_id())),
    }
}

/// The default socket of the hub of process `pid`.
pub fn socket_path(pid: u32) -> PathBuf {
    socket_dir().join(format!("{pid}.sock"))
}

/// Opens a hub's socket, mode 0600, in the place of one that a dead process left
/// there. Nothing else is ever replaced.
///
/// # Errors
/// [`EndpointError::NotPrivate`] if the default directory is not this user's
/// alone, [`EndpointError::Occupied`] if something else is at that place,
/// [`EndpointError::Listen`] if the socket cannot be made.
pub fn listen(path: &Path) -> Result<UnixListener, EndpointError> {
    let failed = |source| EndpointError::Listen {
        path: path.to_path_buf(),
        source,
    };
    if path.parent() == Some(&socket_dir()) {
        private_dir(&socket_dir())?;
    }
    make_room(path)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Removes a socket that nobody listens on; anything else is in the way.
fn make_room(path: &Path) -> Result<(), EndpointError> {
    let failed = |source| EndpointError::Listen {
        path: path.to_path_buf(),
        source,
    };
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let (what, todo) = if kind.is_socket() {
        if is_abandoned(path) {
            return fs::remove_file(path).map_err(failed);
        }
        (
            "another process listens there",
            "end it or name another path",
        )
    } else {
        let what = if kind.is_dir() {
            "a folder of that name exists"
        } else if kind.is_symlink() {
            "a symbolic link of that name exists"
        } else if kind.is_file() {
            "a file of that name exists and is no socket"
        } else {
            "something of that name exists and is no socket"
        };
        (what, "name another path or remove it")
    };
    Err(EndpointError::Occupied {
        path: path.to_path_buf(),
        what,
        todo,
    })
}

/// Whether nobody listens on a socket any more. A listener that is merely busy
/// refuses in other ways.
fn is_abandoned(socket: &Path) -> bool {
    UnixStream::connect(socket).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn private_dir(dir: &Path) -> Result<(), EndpointError> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => {
            return Err(EndpointError::Listen {
                path: dir.to_path_buf(),
                source,
            });
        }
    }
    let failed = |source| EndpointError::Listen {
        path: dir.to_path_buf(),
        source,
    };
    let metadata = fs::symlink_metadata(dir).map_err(failed)?;
    let private =
        metadata.is_dir() && metadata.uid() == user_id() && metadata.mode().trailing_zeros() >= 6;
    if private {
        Ok(())
    } else {
        Err(EndpointError::NotPrivate {
            path: dir.to_path_buf(),
        })
    }
}

/// Connects to the hub that `attach` names (a socket path or a process id), or
/// to the only one running.
///
/// # Errors
/// [`EndpointError::NoneRunning`], [`EndpointError::Several`] or
/// [`EndpointError::Unreachable`].
pub fn connect(attach: Option<&str>) -> Result<UnixStream, EndpointError> {
    let path = match attach {
        Some(name) => match name.parse::<u32>() {
            Ok(pid) => socket_path(pid),
            Err(_) => PathBuf::from(name),
        },
        None => match running().as_slice() {
            [] => return Err(EndpointError::NoneRunning),
            [pid] => socket_path(*pid),
            several => {
                let hubs = several.iter().copied().map(introduce).collect();
                return Err(EndpointError::Several(hubs));
            }
        },
    };
    UnixStream::connect(&path).map_err(|source| EndpointError::Unreachable { path, source })
}

/// Process ids of this user's running hubs, ascending. Sockets that nobody
/// listens on are removed.
pub fn running() -> Vec<u32> {
    let Ok(entries) = fs::read_dir(socket_dir()) else {
        return Vec::new();
    };
    let mut pids = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let pid = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|s| s.parse().ok());
        let (Some(pid), Some("sock")) = (pid, path.extension().and_then(|e| e.to_str())) else {
            continue;
        };
        let is_socket = entry.file_type().is_ok_and(|kind| kind.is_socket());
        if !is_socket {
            continue;
        }
        if is_abandoned(&path) {
            // Whoever else finds it may be faster.
            let _ = fs::remove_file(&path);
        } else {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    pids
}

fn user_id() -> u32 {
    // SAFETY: `geteuid` has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_left_over_socket_is_replaced_and_the_new_one_is_private() {
        let path = std::env::temp_dir().join(format!("liveloop-test-{}.sock", std::process::id()));
        drop(listen(&path).unwrap());
        let second = listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(second);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn nothing_but_a_left_over_socket_is_replaced() {
        let folder = std::env::temp_dir().join(format!("liveloop-occupied-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("folder")).unwrap();
        fs::write(folder.join("file"), "precious").unwrap();
        std::os::unix::fs::symlink("file", folder.join("link")).unwrap();
        let busy = listen(&folder.join("busy")).unwrap();
        for (name, what) in [
            ("file", "is no socket"),
            ("folder", "a folder"),
            ("link", "a symbolic link"),
            ("busy", "another process listens"),
        ] {
            let error = listen(&folder.join(name)).unwrap_err().to_string();
            for part in [what, name, "another path"] {
                assert!(error.contains(part), "`{part}` is missing: {error}");
            }
        }
        assert_eq!(fs::read_to_string(folder.join("link")).unwrap(), "precious");
        assert!(UnixStream::connect(folder.join("busy")).is_ok());
        drop(busy);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn several_hubs_are_told_apart_by_their_projects() {
        let hub = |pid, root: Option<&str>| RunningHub {
            pid,
            root: root.map(str::to_owned),
        };
        let error = EndpointError::Several(vec![hub(12, Some("/games/one")), hub(345, None)]);
        assert_eq!(
            error.to_string(),
            "several engines are running; name one with --attach PID:\n  12  /games/one\n  \
             345  (does not answer)"
        );
    }

    #[test]
    fn an_unknown_socket_is_named_in_the_error() {
        let error = connect(Some("/nonexistent/liveloop.sock")).unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/liveloop.sock"),
            "{error}"
        );
    }
}
