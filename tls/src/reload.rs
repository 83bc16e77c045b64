//! Taking changed files into use.

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::error::TlsError;
use crate::identity::{Invalid, Validity};
use crate::limits;
use crate::stamp::Stamp;

/// Reads the files and makes the configuration.
type Load<T> = Box<dyn Fn() -> Result<Loaded<T>, TlsError> + Send + Sync>;

/// A configuration as its files make it.
pub(crate) struct Loaded<T> {
    pub config: Arc<T>,
    /// Of the own certificate, if there is one.
    pub validity: Option<Validity>,
}

/// A configuration that follows its files.
pub(crate) struct Reloading<T> {
    current: ArcSwap<Loaded<T>>,
    /// Held by those who look for changes, never by readers of the configuration.
    watch: Mutex<Watch>,
    files: Vec<PathBuf>,
    load: Load<T>,
}

/// What is known of the files.
struct Watch {
    /// The files that the current configuration was made from.
    loaded: Vec<Stamp>,
    /// The files at the last look.
    seen: Vec<Stamp>,
    /// What was last logged of files that cannot be used.
    failure: Option<String>,
    /// What was last logged of the certificate in use.
    invalid: Option<Invalid>,
}

/// A configuration that can look for changes of its files.
pub trait Reload: Send + Sync {
    /// Loads the files if they have changed since they were loaded, and not since the last call: a
    /// file that is still being written, or a certificate whose key is not there yet, is left for
    /// the next call. Files that cannot be used are logged once, and the old configuration stays.
    fn reload_if_changed(&self);
}

impl<T> Reloading<T> {
    /// Loads from `files` for the first time. `load` reads no other files.
    pub(crate) fn new(
        files: Vec<PathBuf>,
        load: impl Fn() -> Result<Loaded<T>, TlsError> + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        // Taken before the files are read, so that a change meanwhile is noticed later.
        let stamps = stamps(&files);
        let loaded = load()?;
        let watch = Watch {
            loaded: stamps.clone(),
            seen: stamps,
            failure: None,
            invalid: loaded.validity.and_then(Validity::problem_now),
        };
        Ok(Self {
            current: ArcSwap::from_pointee(loaded),
            watch: Mutex::new(watch),
            files,
            load: Box::new(load),
        })
    }

    /// The configuration now. Takes no lock.
    pub(crate) fn config(&self) -> Arc<T> {
        Arc::clone(&self.current.load().config)
    }

    /// When the own certificate may be used.
    pub(crate) fn validity(&self) -> Option<Validity> {
        self.current.load().validity
    }
}

impl<T: Send + Sync> Reload for Reloading<T> {
    fn reload_if_changed(&self) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(&self.files);
        let is_settled = stamps == watch.seen;
        watch.seen.clone_from(&stamps);
        if stamps != watch.loaded && is_settled {
            match (self.load)() {
                Ok(loaded) => {
                    watch.invalid = loaded.validity.and_then(Validity::problem_now);
                    self.current.store(Arc::new(loaded));
                    watch.loaded = stamps;
                    watch.failure = None;
                    tracing::info!(files = %self, "TLS files have changed and are in use now");
                }
                Err(error) => {
                    let failure = error.to_string();
                    if watch.failure.as_ref() != Some(&failure) {
                        tracing::error!(
                            "changed TLS files cannot be used, so the old ones stay in use: \
                             {failure}"
                        );
                        watch.failure = Some(failure);
                    }
                }
            }
        }
        let invalid = self.validity().and_then(Validity::problem_now);
        if let Some(problem) = invalid
            && watch.invalid != invalid
        {
            tracing::warn!(files = %self, "the TLS certificate in use {problem}; renew it");
        }
        watch.invalid = invalid;
    }
}

impl<T> fmt::Display for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, file) in self.files.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", file.display())?;
        }
        Ok(())
    }
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.files).finish()
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|file| Stamp::of(file)).collect()
}

/// A thread that looks for changed files. It ends when this is dropped.
#[derive(Debug)]
pub struct Reloader {
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reloader {
    /// Looks for changes of `configs` every [`limits::RELOAD_INTERVAL`].
    ///
    /// # Errors
    /// [`TlsError::Thread`].
    pub fn start(configs: Vec<Arc<dyn Reload>>) -> Result<Self, TlsError> {
        Self::start_every(limits::RELOAD_INTERVAL, configs)
    }

    fn start_every(interval: Duration, configs: Vec<Arc<dyn Reload>>) -> Result<Self, TlsError> {
        let (stop, stopped) = channel();
        let thread = thread::Builder::new()
            .name("talos-tls".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                    for config in &configs {
                        config.reload_if_changed();
                    }
                }
            })
            .map_err(TlsError::Thread)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed, and nothing depends on it any more.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use super::*;

    fn number(file: &std::path::Path) -> Result<Loaded<u32>, TlsError> {
        let text = fs::read_to_string(file).map_err(|error| TlsError::file(file, error))?;
        let number: u32 = text.parse().map_err(|error| TlsError::file(file, error))?;
        Ok(Loaded {
            config: Arc::new(number),
            validity: None,
        })
    }

    #[test]
    fn a_thread_follows_the_files_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("number");
        fs::write(&file, "1").unwrap();
        let path = file.clone();
        let following =
            Arc::new(Reloading::new(vec![file.clone()], move || number(&path)).unwrap());
        let interval = Duration::from_millis(1);
        let watched: Arc<dyn Reload> = Arc::<Reloading<u32>>::clone(&following);
        let reloader = Reloader::start_every(interval, vec![watched]).unwrap();
        let shows = |wanted| {
            let end = Instant::now() + Duration::from_secs(10);
            while *following.config() != wanted {
                assert!(Instant::now() < end, "{wanted} is not loaded");
                thread::sleep(interval);
            }
        };
        shows(1);
        fs::write(&file, "not a number").unwrap();
        thread::sleep(Duration::from_millis(20));
        shows(1);
        fs::write(&file, "22").unwrap();
        shows(22);
        fs::remove_file(&file).unwrap();
        thread::sleep(Duration::from_millis(20));
        shows(22);
        drop(reloader);
        assert_eq!(Arc::strong_count(&following), 1, "the thread has ended");
    }

    #[test]
    fn a_file_that_changes_while_it_is_loaded_is_loaded_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("number");
        fs::write(&file, "1").unwrap();
        let path = file.clone();
        let changed = AtomicBool::new(false);
        let following = Reloading::new(vec![file], move || {
            let loaded = number(&path)?;
            if !changed.swap(true, Ordering::Relaxed) {
                fs::write(&path, "22").unwrap();
            }
            Ok(loaded)
        })
        .unwrap();
        assert_eq!(*following.config(), 1);
        following.reload_if_changed();
        following.reload_if_changed();
        assert_eq!(*following.config(), 22);
    }
}
