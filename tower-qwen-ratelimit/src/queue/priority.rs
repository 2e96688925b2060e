/// How urgent a call is: a waiting call of a higher class goes before those of lower ones.
///
/// Put it into the request's extensions, at a client or (in the layer that authenticates) at a server with a
/// [`CallerQueue`](crate::enforce::CallerQueue); without layers, [`Acquire::priority`](crate::Acquire::priority).
/// Default: [`Priority::Normal`]. Take [`Priority::Low`] for batches and [`Priority::High`] for calls that a person
/// waits for.
///
/// Within a class calls go by the [`Discipline`](crate::Discipline): in the order of their arrival, or by fair shares,
/// which each class counts by itself. A call that there is room for goes at once, also while one of a lower class waits for
/// more room.
///
/// # Ageing
///
/// No class starves. One in four admissions is not by class: it goes to the call that arrived first of all that wait, if
/// it has waited for longer than [`LimiterBuilder::ageing`](crate::LimiterBuilder::ageing) (30 s by default), or under
/// [`Discipline::Fair`](crate::Discipline::Fair) to the call of its class that is next there. So a call that has waited
/// that long, with `n` that arrived before it and still wait, sees at most `4 (n + 1)` others go before it by arrival,
/// however many of higher classes come; and the higher classes keep three admissions of four, however long the lower
/// ones have waited.
///
/// # Fleets
///
/// The order is that of each process. A store books one call after the other for each process, and what it has booked goes to
/// the call that is the head by then, if that call needs no more tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// After all others.
    Low,
    /// The class of calls that state none.
    #[default]
    Normal,
    /// Before all others.
    High,
}

impl Priority {
    /// How many classes there are.
    pub(crate) const CLASSES: usize = 3;
    /// The classes in the order in which they go.
    pub(crate) const IN_ORDER: [Self; Self::CLASSES] = [Self::High, Self::Normal, Self::Low];

    /// A stable name, for metrics: `high`, `normal` or `low`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}
