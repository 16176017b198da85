//! The story: a first token, a scheduled refresh, a death, a pause, a lost reply; then what comes from outside.

use std::time::Duration;

use tokio::time::Instant;

use crate::events::Event;
use crate::outside;
use crate::show::Show;
use crate::stage::TIMINGS;

/// For what must happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(12);
/// For what is due once in the half of a token's life.
pub(crate) const IN_TURN: Duration = Duration::from_secs(20);

/// Plays all scenes.
pub(crate) async fn play(show: &mut Show) -> anyhow::Result<()> {
    prologue(show);
    first_token(show).await?;
    scheduled_refresh(show).await?;
    killed_in_mid_call(show).await?;
    paused_in_mid_call(show).await?;
    lost_reply(show).await?;
    outside::somebody_else_refreshes(show).await?;
    outside::five_hundred_reports(show).await?;
    outside::address_not_allowed(show).await
}

fn prologue(show: &Show) {
    let (life, overlap) = (TIMINGS.life.as_secs(), TIMINGS.overlap.as_secs());
    show.narrator.heading("One token, three workers, one reader");
    show.narrator.say(
        "Every call to the upstream's token endpoint issues a new token and starts the death of \
         the one before. So somebody must see to it that only one party calls, and that \
         everybody else uses what it got. Here three identical workers share a Redis; whoever \
         claims a refresh first makes it. The reader stands for your services: ten times a \
         second it takes the token from Redis and calls the upstream with it.",
    );
    show.narrator.say(&format!(
        "Here a token lives {life} s (in reality two hours), and works for {overlap} s after \
         the next was issued (in reality five minutes). Upstream and Redis are this demo's own."
    ));
}

async fn first_token(show: &mut Show) -> anyhow::Result<()> {
    let text = format!(
        "Redis is empty. One worker claims and fetches. But an empty Redis says nothing about \
         requests of the past: one that is still under way could be processed after ours, and \
         make its token the newest. So the first token is published with a doubt, and fetched \
         once more when no older request can be left: {:.1} s later.",
        TIMINGS.drain.as_secs_f64()
    );
    let began = show.begin("The first token", &text).await?;
    show.stage.start_workers().await?;
    show.stage.settle(IN_TURN).await?;
    show.end(began).await
}

async fn scheduled_refresh(show: &mut Show) -> anyhow::Result<()> {
    let text = format!(
        "A refresh is due long before a token dies: here about {} s before. The key in Redis is \
         replaced in place, so no reader ever finds it empty.",
        TIMINGS.ahead.as_secs()
    );
    let began = show.begin("A scheduled refresh", &text).await?;
    let mark = show.events.count();
    show.events.after(mark, "a refresh", IN_TURN, |event| event.what == "refreshed").await?;
    show.stage.settle(SOON).await?;
    show.end(began).await
}

async fn killed_in_mid_call(show: &mut Show) -> anyhow::Result<()> {
    let text = format!(
        "When the next refresh is due, its worker is killed (kill -9) while the upstream works \
         on the request. The upstream issues a token to nobody. The claim outlives its worker by \
         at most {} s, the lease; within a second more, another worker takes over.",
        TIMINGS.lease.as_secs()
    );
    let began = show.begin("The refresher is killed in mid-call", &text).await?;
    let mark = show.events.count();
    show.stage.upstream.hold_next().await?;
    show.stage.upstream.wait_held(IN_TURN).await?;
    let victim = show.stage.refresher().await?;
    show.stage.worker(&victim)?.kill9().await;
    let killed_at = Instant::now();
    show.narrator.event(&format!("{victim} is killed; its request is with the upstream"));
    show.stage.upstream.release().await?;

    let others = |what: &'static str| {
        let victim = victim.clone();
        move |event: &Event| event.what == what && event.worker != victim
    };
    let claim = show.events.after(mark, "another claim", SOON, others("claimed")).await?;
    show.events.after(mark, "another token", SOON, others("refreshed")).await?;
    show.narrator.say(&format!(
        "{} took over {:.1} s after the death. It can't know whether the dead worker's request \
         was processed, or still will be: so its token, too, is followed by one more fetch.",
        claim.worker,
        claim.at.duration_since(killed_at).as_secs_f64()
    ));
    show.stage.settle(SOON).await?;
    show.stage.restart(&victim).await?;
    show.narrator.event(&format!("{victim} is started again"));
    show.end(began).await
}

async fn paused_in_mid_call(show: &mut Show) -> anyhow::Result<()> {
    let text = "An operator asks for a refresh, and in mid-call its worker is paused (kill -STOP; \
                a virtual machine that moves to another host does the same). The worker does not \
                know. Its lease runs out, another takes over.";
    let began = show.begin("The refresher is paused in mid-call", text).await?;
    let mark = show.events.count();
    show.stage.upstream.hold_next().await?;
    show.stage.force_refresh();
    show.stage.upstream.wait_held(SOON).await?;
    let sleeper = show.stage.refresher().await?;
    show.stage.worker(&sleeper)?.pause().await;
    show.narrator.event(&format!("{sleeper} is paused; its request is with the upstream"));
    show.stage.upstream.release().await?;
    let other = show.events.after(mark, "another worker's claim", SOON, |event| {
        event.what == "claimed" && event.worker != sleeper
    });
    other.await?;
    show.stage.settle(SOON).await?;

    let mark = show.events.count();
    show.narrator.say(&format!(
        "Now {sleeper} goes on where it was. Its claim is no longer the last one, so Redis does \
         not let it publish, whatever it makes of the answer that waits for it: the fence. But \
         that its request reached the upstream is news. There might be a newer token than the \
         published one: doubt, and one more fetch."
    ));
    show.stage.worker(&sleeper)?.resume();
    show.narrator.event(&format!("{sleeper} is resumed"));
    show.events.after(mark, "a doubt", SOON, |event| event.what == "doubted").await?;
    show.stage.settle(SOON).await?;
    show.end(began).await
}

async fn lost_reply(show: &mut Show) -> anyhow::Result<()> {
    let text = format!(
        "At the next refresh the upstream issues a token, and the connection breaks before the \
         answer arrives. The worker can't know which: to repeat the request at once would be \
         wrong if the first is still under way, and to go on as if nothing had happened would be \
         wrong if it was processed. The published token still works for {} s, so: wait for the \
         drain, then fetch once.",
        TIMINGS.overlap.as_secs()
    );
    let began = show.begin("A reply is lost", &text).await?;
    let mark = show.events.count();
    show.stage.upstream.lose_next_reply().await?;
    show.events.after(mark, "a doubt", IN_TURN, |event| event.what == "doubted").await?;
    show.stage.settle(SOON).await?;
    show.end(began).await
}
