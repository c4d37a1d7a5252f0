use acip_core::event::{NAMES, Wanted};

use super::{
    channel::{MAX_KEPT, MAX_LISTENERS},
    *,
};

fn listening(query: &[&str], after: Option<&str>) -> Listening {
    let mut listening = Listening { after: after.map(Into::into), ..Listening::default() };
    if !query.is_empty() {
        listening.wanted = Wanted::of(query.iter().copied());
    }
    listening
}

struct Stage {
    events: Arc<Events>,
    phase: watch::Sender<Phase>,
}

impl Stage {
    fn new() -> Self {
        Self { events: Arc::default(), phase: watch::Sender::new(Phase::Serving) }
    }

    /// Past the greeting.
    async fn listen(&self, query: &[&str], after: Option<&str>) -> EventStream {
        let told = self.events.listen(&listening(query, after), self.phase.subscribe());
        let mut told = told.expect("there is a place");
        assert!(told.next().await.expect("a greeting").starts_with(b"retry: "));
        told
    }

    fn tell(&self, worker: &str) {
        let event = Event::WorkerOffline { worker: worker.into() };
        self.events.tell_one(&event, &Document::default());
    }
}

async fn heard(told: &mut EventStream) -> Vec<(String, String)> {
    let chunk = told.next().await.expect("a chunk");
    let text = str::from_utf8(&chunk).expect("text").to_owned();
    let frame = |frame: &str| {
        let field = |name: &str| {
            frame.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
        };
        let data: serde_json::Value = serde_json::from_str(&field("data: ")).expect("JSON");
        let fact = if data["count"].is_number() { &data["count"] } else { &data["worker"] };
        (field("id: "), format!("{} {fact}", field("event: ")))
    };
    text.split_terminator("\n\n").map(frame).collect()
}

fn facts(heard: &[(String, String)]) -> Vec<&str> {
    heard.iter().map(|(_, fact)| fact.as_str()).collect()
}

#[tokio::test]
async fn events_come_in_order_to_all_who_want_them() {
    let stage = Stage::new();
    stage.tell("before");
    let mut all = stage.listen(&[], None).await;
    let mut none = stage.listen(&["gateway:job:failed"], None).await;
    stage.tell("a");
    stage.tell("b");
    let expected = [r#"gateway:worker:offline "a""#, r#"gateway:worker:offline "b""#];
    assert_eq!(facts(&heard(&mut all).await), expected);
    stage.phase.send_replace(Phase::Draining);
    assert_eq!((all.next().await, none.next().await), (None, None), "the streams end with the process");
}

#[tokio::test]
async fn whoever_comes_back_goes_on_where_it_was() {
    let stage = Stage::new();
    let mut first = stage.listen(&[], None).await;
    stage.tell("a");
    let last = heard(&mut first).await.pop().expect("one").0;
    drop(first);
    stage.tell("b");
    let mut again = stage.listen(&[], Some(&last)).await;
    assert_eq!(facts(&heard(&mut again).await), [r#"gateway:worker:offline "b""#]);
    for unknown in ["", "x", "1-0", "ffffffffffffffffff-1"] {
        let mut lost = stage.listen(&[], Some(unknown)).await;
        assert_eq!(facts(&heard(&mut lost).await), ["gateway:events:dropped null"], "{unknown}");
    }
}

#[tokio::test]
async fn the_slow_are_told_what_they_missed() {
    let stage = Stage::new();
    let mut slow = stage.listen(&[], None).await;
    for _ in 0..MAX_KEPT + 7 {
        stage.tell("a");
    }
    let mut count = 0;
    let first = heard(&mut slow).await;
    assert_eq!(facts(&first)[0], "gateway:events:dropped 7");
    count += first.len() - 1;
    while count < MAX_KEPT {
        count += heard(&mut slow).await.len();
    }
    assert_eq!(count, MAX_KEPT);
    stage.tell("b");
    assert_eq!(facts(&heard(&mut slow).await), [r#"gateway:worker:offline "b""#]);
}

#[tokio::test]
async fn places_are_few_and_given_back() {
    let stage = Stage::new();
    let mut all = Vec::new();
    for _ in 0..MAX_LISTENERS {
        all.push(stage.listen(&[], None).await);
    }
    let full = stage.events.listen(&Listening::default(), stage.phase.subscribe());
    assert_eq!(full.err(), Some(Subscription::Full));
    all.pop();
    all.push(stage.listen(&[], None).await);
}

#[tokio::test]
async fn threads_tell_at_the_same_time_and_nothing_is_lost() {
    let stage = Stage::new();
    let mut told = stage.listen(&[], None).await;
    std::thread::scope(|scope| {
        for name in ["a", "b"] {
            let stage = &stage;
            scope.spawn(move || (0..MAX_KEPT / 2).for_each(|_| stage.tell(name)));
        }
    });
    let mut all = Vec::new();
    while all.len() < MAX_KEPT {
        all.extend(heard(&mut told).await);
    }
    let numbers: Vec<_> = all.iter().map(|(id, _)| id.split_once('-').expect("an id").1.to_owned()).collect();
    assert_eq!(numbers, (0..MAX_KEPT).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_published_is_kept_apart() {
    let stage = Stage::new();
    let mut document = Document::default();
    document.events.publish = Wanted::of(["gateway:job:submitted"]);
    let job = |name: String| Event::JobSubmitted { job: name };
    let tell = |event: &Event| stage.events.tell_one(event, &document);
    tell(&job("before".into()));
    let mut publisher = stage.events.publisher(stage.phase.subscribe()).expect("a place");
    assert_eq!(publisher.lines(9), (vec![], 0));
    tell(&job("first".into()));
    (0..2 * MAX_KEPT).for_each(|_| tell(&Event::CacheMiss));
    tell(&job("last".into()));
    let (lines, missed) = publisher.lines(9);
    assert_eq!((lines.len(), missed), (2, 0), "{lines:?}");
    assert!(lines[0].contains("\"job\":\"first\"") && lines[1].contains("\"job\":\"last\""), "{lines:?}");
    (0..MAX_KEPT + 3).for_each(|number| tell(&job(number.to_string())));
    assert_eq!((publisher.lines(1).1, publisher.lines(1).1), (3, 0), "what came too fast");
    assert!(stage.events.is_heard());
    drop(publisher);
    assert!(!stage.events.is_heard(), "nobody comes back to it");
}

#[test]
fn the_name_of_what_was_missed_is_no_events() {
    assert!(!NAMES.contains(&listener::DROPPED));
}
