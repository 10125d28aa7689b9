//! The task in which a flight runs, and the guard that settles it when the task does not.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};

use futures::FutureExt;
use futures::future::{self, Either};

use crate::clock::TimePoint;
use crate::entropy;
use crate::error::Error;
use crate::event::{Event, FetchReason};
use crate::flight::{Flight, Landing};
use crate::observe;
use crate::shared::{Setup, Shared};
use crate::state::{Answer, Departure};
use crate::token::TemporaryToken;

/// The life of one flight. Made at once, so that a task that is dropped before its first poll is noticed too.
pub(crate) fn fly<T: Send + Sync + 'static>(
    shared: Weak<Shared<T>>,
    departure: Departure,
) -> impl Future<Output = ()> + Send + 'static {
    let crew = Crew { shared, flight: departure.flight, landed: false };
    async move {
        let Some(setup) = crew.board() else { return };
        if setup.clock.now().monotonic() < departure.not_before {
            setup.clock.sleep_until(departure.not_before).await;
        }
        let began = setup.clock.now();
        if !crew.begin(departure.reason, began) {
            return;
        }
        let token = observe::fetch(&setup.name, departure.reason, ask(&setup, began)).await;
        crew.land(began, token);
    }
}

/// Asks the source once, and makes an error of every way in which it may not answer.
async fn ask<T: Send + Sync + 'static>(setup: &Setup<T>, began: TimePoint) -> Result<TemporaryToken<T>, Error> {
    // A source may panic before it returns a future: the call belongs inside.
    let fetch = AssertUnwindSafe(async { setup.source.fetch().await }).catch_unwind();
    let timeout = setup.clock.sleep_until(began.monotonic().saturating_add(setup.policy.fetch_timeout));
    match future::select(std::pin::pin!(fetch), timeout).await {
        Either::Left((Ok(answer), _)) => answer.map_err(Error::from_source),
        Either::Left((Err(_), _)) => Err(Error::panicked()),
        Either::Right(((), _)) => Err(Error::timed_out(setup.policy.fetch_timeout)),
    }
}

/// Sees to it that the flight ends for all who wait, also when its task is dropped on the way.
struct Crew<T> {
    shared: Weak<Shared<T>>,
    flight: Arc<Flight>,
    landed: bool,
}

impl<T> Crew<T> {
    fn board(&self) -> Option<Arc<Setup<T>>> {
        Some(Arc::clone(&self.shared.upgrade()?.setup))
    }

    fn begin(&self, reason: FetchReason, began: TimePoint) -> bool {
        let Some(shared) = self.shared.upgrade() else { return false };
        let begins = shared.update(|state, _, _| state.begin(&self.flight, began));
        if begins {
            shared.emit(&Event::FetchStarted { reason });
        }
        begins
    }

    /// Settles, then wakes, then tells: a listener that panics must not lose a token that was fetched.
    fn land(mut self, began: TimePoint, token: Result<TemporaryToken<T>, Error>) {
        let Some(shared) = self.shared.upgrade() else { return };
        let same = shared.setup.same.as_ref();
        let answer = Answer { began, token, draw: entropy::draw() };
        let (landing, status, took) = shared.update(|state, policy, now| {
            let landing = state.settle(policy, same, &self.flight, now, answer);
            (landing, state.status(policy, now), now.monotonic().saturating_sub(began.monotonic()))
        });
        self.landed = true;
        self.flight.land(landing.clone());
        match landing {
            Landing::Succeeded => {
                let (generation, remaining) = (status.generation, status.remaining);
                shared.generations.send_replace(generation);
                shared.emit(&Event::FetchSucceeded { generation, remaining, took });
            }
            Landing::Failed(error) => shared.emit(&Event::FetchFailed { error, failures: status.failures, took }),
            // It had been given up, and that has been told.
            Landing::Discarded | Landing::Lost => {}
        }
    }
}

impl<T> Drop for Crew<T> {
    fn drop(&mut self) {
        if self.landed {
            return;
        }
        if let Some(shared) = self.shared.upgrade() {
            shared.update(|state, _, _| state.give_up(&self.flight));
        }
        self.flight.land(Landing::Lost);
    }
}
