//! Components and their files: one that changes is loaded anew, unless what it holds now is none.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak},
    thread,
    time::{Duration, SystemTime},
};

use crate::engine::{Program, Shared};

/// A component and where it is from. Shared by all gateways of the process that name this file.
pub(crate) struct Loaded {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    program: Shared,
    stamp: Stamp,
    /// Why what the file holds now is not in force.
    fault: Option<String>,
}

/// Tells one state of a file from another.
type Stamp = Option<(SystemTime, u64)>;

impl Loaded {
    /// Loads a file, or finds it loaded.
    ///
    /// # Errors
    /// It cannot be read, or is no component.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, String> {
        let mut files = lock(&FILES);
        if let Some(loaded) = files.get(path).and_then(Weak::upgrade) {
            drop(files);
            // Somebody who reads a document anew means what the file says now. What was seen to be bad before is a fault of
            // the plugin; it keeps nobody from changing something else.
            loaded.look()?;
            return Ok(loaded);
        }
        let (stamp, program) = load(path)?;
        let state = Mutex::new(State { program, stamp, fault: None });
        let loaded = Arc::new(Self { path: path.to_owned(), state });
        files.retain(|_, file| file.strong_count() > 0);
        files.insert(path.to_owned(), Arc::downgrade(&loaded));
        drop(files);
        WATCH.call_once(watch);
        Ok(loaded)
    }

    /// The program in force.
    pub(crate) fn program(&self) -> Shared {
        Arc::clone(&lock(&self.state).program)
    }

    /// Why what the file holds now is not in force, if it is not.
    pub(crate) fn fault(&self) -> Option<String> {
        lock(&self.state).fault.clone()
    }

    /// Loads the file anew if it has changed. Whether it had.
    ///
    /// # Errors
    /// What it holds now is no component: the old one stays.
    pub(crate) fn look(&self) -> Result<bool, String> {
        let stamp = stamp(&self.path);
        if lock(&self.state).stamp == stamp {
            return Ok(false);
        }
        // What is bad is told once, not every second.
        let loaded = load(&self.path);
        let mut state = lock(&self.state);
        state.stamp = stamp;
        let (stamp, program) = loaded.inspect_err(|error| state.fault = Some(error.clone()))?;
        *state = State { program, stamp, fault: None };
        Ok(true)
    }
}

fn load(path: &Path) -> Result<(Stamp, Shared), String> {
    // Before it is read: a change meanwhile is seen by the next look.
    let stamp = stamp(path);
    let bytes = fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let program = Program::compile(&bytes).map_err(|error| format!("`{}`: {error}", path.display()))?;
    Ok((stamp, Arc::new(program)))
}

fn stamp(path: &Path) -> Stamp {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn watch() {
    let rounds = || {
        loop {
            thread::sleep(ROUND);
            let files: Vec<_> = lock(&FILES).values().filter_map(Weak::upgrade).collect();
            for file in files {
                match file.look() {
                    Ok(false) => {}
                    Ok(true) => tracing::info!(path = %file.path.display(), "a component was loaded anew"),
                    Err(error) => {
                        tracing::error!(error, "a component changed for the worse; the old one stays");
                    }
                }
            }
        }
    };
    if let Err(error) = thread::Builder::new().name("component-files".to_owned()).spawn(rounds) {
        tracing::warn!(%error, "files of components are not watched");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static FILES: Mutex<BTreeMap<PathBuf, Weak<Loaded>>> = Mutex::new(BTreeMap::new());
static WATCH: Once = Once::new();
/// As often as everything else that the native gateway follows.
const ROUND: Duration = Duration::from_secs(1);
