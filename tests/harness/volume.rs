//! A small ext4 file system on a loop device, whose power can be cut. Needs root.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::requirement::report_missing;

/// `_IOR('X', 125, __u32)` of Linux' ext4.h.
const EXT4_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
/// Stop at once: nothing in memory reaches the disk, not even the journal.
const EXT4_GOING_FLAGS_NOLOGFLUSH: u32 = 2;

/// A mounted volume; unmounted and removed at the end.
#[derive(Debug)]
pub struct Volume {
    directory: TempDir,
    device: String,
    mounted: bool,
}

impl Volume {
    /// Makes and mounts a volume of this size. `None` when this process may not, which
    /// [`report_missing`] reports, and which fails the test on CI.
    pub fn new(mebibytes: u64) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            report_missing("mounting a volume needs root");
            return None;
        }
        let directory = tempfile::Builder::new()
            .prefix("talos-volume-")
            .tempdir()
            .unwrap();
        let image = directory.path().join("image");
        File::create(&image)
            .unwrap()
            .set_len(mebibytes << 20)
            .unwrap();
        fs::create_dir(directory.path().join("mount")).unwrap();
        // `-m 0` reserves no blocks for root: this process is root and would fill them, too.
        succeed(
            Command::new("mkfs.ext4")
                .args(["-q", "-m", "0"])
                .arg(&image),
        )
        .unwrap();
        let device = match succeed(
            Command::new("losetup")
                .args(["--find", "--show"])
                .arg(&image),
        ) {
            Ok(device) => device.trim().to_owned(),
            Err(reason) => {
                report_missing(&format!("there is no loop device: {reason}"));
                return None;
            }
        };
        let mut volume = Self {
            directory,
            device,
            mounted: false,
        };
        match volume.try_mount() {
            Ok(()) => Some(volume),
            Err(reason) => {
                report_missing(&format!("mounting is not allowed: {reason}"));
                None
            }
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("mount")
    }

    /// Cuts the power: every later access fails, and writes that were not synced are lost.
    pub fn cut_power(&self) {
        let mount = File::open(self.path()).unwrap();
        let flags = EXT4_GOING_FLAGS_NOLOGFLUSH;
        // SAFETY: the descriptor is open, and the kernel only reads the four bytes at the pointer,
        // which outlive the call.
        let result = unsafe { libc::ioctl(mount.as_raw_fd(), EXT4_IOC_SHUTDOWN, &raw const flags) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }

    /// Unmounts and mounts again, which replays the journal, as after a power cut. No process may
    /// use it.
    pub fn remount(&mut self) {
        succeed(Command::new("umount").arg(self.path())).unwrap();
        self.mounted = false;
        self.try_mount().unwrap();
    }

    fn try_mount(&mut self) -> Result<(), String> {
        succeed(
            Command::new("mount")
                .args(["-t", "ext4", &self.device])
                .arg(self.path()),
        )?;
        self.mounted = true;
        Ok(())
    }

    /// Fills all space that is left with a file, and returns its path.
    pub fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = File::create(&path).unwrap();
        for block in [1 << 20, 4 << 10, 1] {
            let zeros = vec![0; block];
            while std::io::Write::write_all(&mut file, &zeros).is_ok() {}
        }
        // Gives everything in the page cache its blocks. The error reports that the disk is full.
        let _ = file.sync_all();
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.mounted {
            report(succeed(Command::new("umount").arg(self.path())));
        }
        report(succeed(
            Command::new("losetup").args(["--detach", &self.device]),
        ));
    }
}

fn report(result: Result<String, String>) {
    if let Err(reason) = result {
        eprintln!("cleaning up a volume: {reason}");
    }
}

/// Runs a command to its end; its standard output, or what went wrong.
fn succeed(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", program(command)))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "{}: {}",
            program(command),
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

fn program(command: &Command) -> String {
    Path::new(command.get_program()).display().to_string()
}
