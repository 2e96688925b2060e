//! What Retry and Admission do together, in paused time, against the provider in-process: no storm above all.

mod outage;
mod together;
