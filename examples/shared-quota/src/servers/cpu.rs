//! What a process takes of the processor: a busy neighbour changes it less than the time that passes.

use std::{fs, time::Duration};

/// A tick of Linux's counters, whatever the kernel's own is.
const TICK: Duration = Duration::from_millis(10);

/// What all threads of this process have taken so far; nothing where the system does not say it.
pub(crate) fn used() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat");
    stat.ok().and_then(|stat| read(&stat)).unwrap_or_default()
}

/// Reads `/proc/.../stat`: the program's own time and the system's, the 14th field and the next.
fn read(stat: &str) -> Option<Duration> {
    // The second field is a name in parentheses, which may have spaces.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    let ticks = ticks()?.checked_add(ticks()?)?;
    Some(TICK * ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_count() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 25 50 9 9 20 0 1";
        assert_eq!(read(stat), Some(Duration::from_millis(750)));
        assert_eq!(read("7 (a"), None);
    }
}
