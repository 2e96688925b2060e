/// The longest name of a field, event or status that matters, in bytes; ours have at most 15.
pub(super) const MAX_SHORT: usize = 32;

/// Where in a line the next byte lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Line {
    #[default]
    Field,
    /// After the colon, where one space may come.
    Colon(Field),
    Value(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Data,
    Event,
    Comment,
    Other,
}

/// The data of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Data {
    #[default]
    None,
    /// One line; its value begins at this byte of the event.
    Line(usize),
    /// Several lines: such an event is no template, as its data lies in several places.
    Lines,
}
