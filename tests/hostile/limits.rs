//! Runs a process within limits of time and memory.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::case::ProcessLimits;

/// What a process may use before it is killed.
#[derive(Debug, Clone, Copy)]
pub struct Allowed {
    /// Largest resident set in bytes. Linux only.
    pub memory: u64,
    /// Processor time. Four times as much may pass on the clock, for machines that are busy otherwise.
    pub time: Duration,
    pub limits: ProcessLimits,
}

/// How a process ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// Largest resident set in bytes.
    pub memory: u64,
    /// Processor time.
    pub time: Duration,
}

/// Runs `command` and kills it when it exceeds what is allowed; then the error says which limit.
///
/// Standard output and error are captured unless `stdout` or `stderr` name other files.
#[expect(clippy::zombie_processes, reason = "`wait` waits for the child")]
pub fn run(
    mut command: Command,
    allowed: Allowed,
    stdout: Option<File>,
    stderr: Option<File>,
) -> Result<Ended, String> {
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let target = |other: Option<File>, own: &File| {
        Stdio::from(other.unwrap_or_else(|| own.try_clone().unwrap()))
    };
    command.stdout(target(stdout, &out)).stderr(target(stderr, &err));
    let limits = allowed.limits;
    // SAFETY: between fork and exec the closure only calls setrlimit, which is async-signal-safe.
    unsafe { command.pre_exec(move || restrict(limits)) };
    let child = command.spawn().unwrap();
    let (status, usage) = wait(child.id(), allowed)?;
    let memory = usage.ru_maxrss as u64 * if cfg!(target_os = "linux") { 1024 } else { 1 };
    let time = duration(usage.ru_utime) + duration(usage.ru_stime);
    within(allowed, memory, time, Duration::ZERO)?;
    let contents = |file: &mut File| {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    };
    Ok(Ended { status, stdout: contents(&mut out), stderr: contents(&mut err), memory, time })
}

fn restrict(limits: ProcessLimits) -> io::Result<()> {
    for (resource, limit) in
        [(libc::RLIMIT_NOFILE, limits.open_files), (libc::RLIMIT_FSIZE, limits.file_size)]
    {
        let Some(limit) = limit else { continue };
        let both = libc::rlimit { rlim_cur: limit as _, rlim_max: limit as _ };
        // SAFETY: `both` is a valid structure that lives until the call returns.
        if unsafe { libc::setrlimit(resource, &raw const both) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Waits for the process `id`, which must be a child, and kills it at a limit.
fn wait(id: u32, allowed: Allowed) -> Result<(ExitStatus, libc::rusage), String> {
    let started = Instant::now();
    let mut exceeded = Ok(());
    loop {
        let mut status = 0;
        // SAFETY: zeros are a valid rusage.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are valid until the call returns. Nothing else waits for this child.
        let ended =
            unsafe { libc::wait4(id as i32, &raw mut status, libc::WNOHANG, &raw mut usage) };
        assert!(ended >= 0, "{}", io::Error::last_os_error());
        if ended > 0 {
            let status = std::os::unix::process::ExitStatusExt::from_raw(status);
            return exceeded.map(|()| (status, usage));
        }
        if exceeded.is_ok() {
            exceeded = within(allowed, resident(id), Duration::ZERO, started.elapsed());
            if exceeded.is_err() {
                // SAFETY: the process is a child that nothing has waited for yet, so the id is its own.
                unsafe { libc::kill(id as i32, libc::SIGKILL) };
            }
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// An error if one of the numbers is beyond what is allowed.
fn within(allowed: Allowed, memory: u64, time: Duration, clock: Duration) -> Result<(), String> {
    if cfg!(target_os = "linux") && memory > allowed.memory {
        return Err(format!("more memory than {} MB", allowed.memory / 1_000_000));
    }
    if time > allowed.time {
        return Err(format!("{time:.1?} of processor time, more than {:?}", allowed.time));
    }
    if clock > 4 * allowed.time {
        return Err(format!("not finished after {clock:.1?}"));
    }
    Ok(())
}

/// Largest resident set so far, in bytes; 0 where the system does not report it.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix("kB"));
    number.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn duration(time: libc::timeval) -> Duration {
    Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000)
}
