//! Tenants share one quota, and one of them offers ten times as much as the others.

use mock_qwen::MockQwen;
use tower_qwen_ratelimit::{Discipline, Limiter, Quota, Weight};

use crate::{
    load::{Load, Tenancy},
    setting::Setting,
};

/// Jain's index: 1 where all have the same.
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}

async fn served(setting: Setting, discipline: Discipline, tenants: &[Tenancy]) -> Vec<f64> {
    let config = setting.provider();
    let quota = Quota::per_minute(config.rpm, config.tpm).window(config.window);
    let mock = MockQwen::new(config);
    let limiter = Limiter::builder(quota)
        .discipline(discipline)
        .build()
        .unwrap();
    let outcome = Load {
        windows: 10,
        ..Load::new(&setting)
    }
    .run_for(&mock, limiter, tenants)
    .await;
    assert_eq!((outcome.failed, outcome.stats.throttled.total()), (0, 0));
    outcome.served.iter().map(|tokens| *tokens as f64).collect()
}

/// Jain's index of what four tenants were served, one of which offers ten times as much.
pub(crate) async fn unequal(setting: Setting, discipline: Discipline) -> f64 {
    let tenants = [100, 10, 10, 10].map(|callers| Tenancy {
        callers,
        weight: Weight::default(),
    });
    jain(&served(setting, discipline, &tenants).await)
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_offers_ten_times_as_much_gets_no_more_than_its_share() {
    let fair = unequal(Setting::PAUSED, Discipline::Fair).await;
    let fifo = unequal(Setting::PAUSED, Discipline::Fifo).await;
    println!("fair {fair:.4}, first come {fifo:.4}");
    assert!(fair >= 0.995, "{fair}");
    assert!(fifo < 0.7, "else nothing was shown: {fifo}");
}

#[tokio::test(start_paused = true)]
async fn weights_divide_the_quota() {
    let tenants: Vec<Tenancy> = [1_u32, 2, 4]
        .into_iter()
        .map(|weight| Tenancy {
            callers: 30,
            weight: Weight::new(weight.try_into().unwrap()),
        })
        .collect();
    let served = served(Setting::PAUSED, Discipline::Fair, &tenants).await;
    let by_weight: Vec<f64> = served
        .iter()
        .zip([1.0, 2.0, 4.0])
        .map(|(tokens, weight)| tokens / weight)
        .collect();
    println!("by weight {:.4} {served:?}", jain(&by_weight));
    assert!(jain(&by_weight) >= 0.995, "{served:?}");
}
