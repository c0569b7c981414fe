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
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why no hub could be reached or opened.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// No hub of this user runs.
    #[error("no running engine found; start one with `cargo run engine`")]
    NoneRunning,
    /// More than one hub runs and none was named.
    #[error("several engines are running; name one with --attach PID: {}", list(.0))]
    Several(Vec<u32>),
    /// The named hub is not there.
    #[error("cannot attach to {path}: is the engine still running?")]
    Unreachable {
        /// Its socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
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

fn list(pids: &[u32]) -> String {
    pids.iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(", ")
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

/// Opens a hub's socket, mode 0600, removing what a dead process left there.
///
/// # Errors
/// [`EndpointError::NotPrivate`] if the default directory is not this user's
/// alone, [`EndpointError::Listen`] if the socket cannot be made.
pub fn listen(path: &Path) -> Result<UnixListener, EndpointError> {
    let failed = |source| EndpointError::Listen {
        path: path.to_path_buf(),
        source,
    };
    if path.parent() == Some(&socket_dir()) {
        private_dir(&socket_dir())?;
    }
    if path.exists() && UnixStream::connect(path).is_err() {
        fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
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
            several => return Err(EndpointError::Several(several.to_vec())),
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
        match UnixStream::connect(&path) {
            Ok(_) => pids.push(pid),
            Err(_) => drop(fs::remove_file(&path)),
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
    fn an_unknown_socket_is_named_in_the_error() {
        let error = connect(Some("/nonexistent/liveloop.sock")).unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/liveloop.sock"),
            "{error}"
        );
    }
}
