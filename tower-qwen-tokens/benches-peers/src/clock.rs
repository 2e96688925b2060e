use rustix::time::{ClockId, clock_gettime};

/// The time this process has spent on processors, in all its threads: what others do on the machine is not in it. Seconds.
#[must_use]
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
