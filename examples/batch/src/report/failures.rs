//! The failures of a run, by what they say.

use maud::{Markup, html};

use crate::failures::Failures;

use super::text::{count, message, shown};

/// Kinds that have a row: more are not read.
const MOST: usize = 20;

/// The table; nothing where no call failed.
pub(super) fn failures(failures: &Failures) -> Markup {
    let kinds = failures.top(usize::MAX);
    let rest: u64 = kinds.iter().skip(MOST).map(|kind| kind.count).sum();
    html! {
        @if !kinds.is_empty() {
            h2 id="failures" { "Failures" }
            p.note { "Messages that differ in their figures alone are one kind; the first message of each, and the id of its call." }
            figure {
                div.scroll {
                    table {
                        thead {
                            tr {
                                th scope="col" { "kind" }
                                th scope="col" { "calls" }
                                th.text scope="col" { "first message" }
                                th.text scope="col" { "id" }
                            }
                        }
                        tbody {
                            @for kind in kinds.iter().take(MOST) {
                                tr {
                                    th.any scope="row" { bdi { (shown(&kind.code)) } }
                                    td { (count(kind.count)) }
                                    td.text.any { bdi { (message(&kind.message)) } }
                                    td.text.any { bdi { (shown(&kind.sample)) } }
                                }
                            }
                        }
                    }
                }
                @if rest > 0 { p.note { (count(rest)) " more calls failed in other ways." } }
            }
        }
    }
}
