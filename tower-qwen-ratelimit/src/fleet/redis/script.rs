use std::sync::LazyLock;

use redis::{Cmd, ToRedisArgs};

/// One script per operation, over all gates of an account; and one each for usage, presence and budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Reserve,
    Settle,
    Send,
    Pause,
    Beat,
    Leave,
    Snapshot,
    Usage,
    Presence,
    Lease,
}

macro_rules! source {
    ($($name:literal),+) => {
        concat!(
            include_str!("lua/gates.lua"),
            $(include_str!(concat!("lua/", $name, ".lua"))),+
        )
    };
}

impl Script {
    pub(super) const ALL: [Self; 10] = [
        Self::Reserve,
        Self::Settle,
        Self::Send,
        Self::Pause,
        Self::Beat,
        Self::Leave,
        Self::Snapshot,
        Self::Usage,
        Self::Presence,
        Self::Lease,
    ];

    pub(super) fn source(self) -> &'static str {
        match self {
            Self::Reserve => source!("reserve"),
            Self::Settle => source!("settle"),
            Self::Send => source!("send"),
            Self::Pause => source!("belief", "pause"),
            Self::Beat => source!("belief", "beat"),
            Self::Leave => source!("leave"),
            Self::Snapshot => source!("snapshot"),
            Self::Usage => include_str!("lua/usage.lua"),
            Self::Presence => include_str!("lua/presence.lua"),
            Self::Lease => include_str!("lua/lease.lua"),
        }
    }

    /// The command that runs it.
    pub(super) fn run(self, keys: &[impl AsRef<str>], arguments: impl ToRedisArgs) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.hash()).arg(keys.len());
        for key in keys {
            command.arg(key.as_ref());
        }
        command.arg(arguments);
        command
    }

    /// The name under which a server that has loaded it runs it.
    pub(super) fn hash(self) -> &'static str {
        static HASHES: LazyLock<[String; 10]> = LazyLock::new(|| {
            Script::ALL.map(|script| redis::Script::new(script.source()).get_hash().to_owned())
        });
        &HASHES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_place() {
        for (at, script) in Script::ALL.into_iter().enumerate() {
            assert_eq!(script as usize, at);
            assert_eq!(script.hash().len(), 40);
        }
    }
}
