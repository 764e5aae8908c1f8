//! Runs a request through the same decisions as a real one, with the store, the origin and what is shared only looked at.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, HOST, IF_MATCH, IF_UNMODIFIED_SINCE, PRAGMA, RANGE};

use crate::{
    client::WorkerHandle,
    clock::Timestamp,
    explanation::Wanted,
    fields::{authentication::authenticates_connection, method::is_safe_request},
    message::{FieldName, FieldValue, Fields, Method, Request, Scheme, Version},
    origin::{OriginError, Upload},
    policy::{
        Fwd, Reason, parts,
        reuse::{Forward, Mode, Reuse, reuse},
    },
    proxy::{
        admission::{QUERY_CONTENT, understand},
        context::{Asked, Context},
        exchange::{self, Answered},
        failure::status_of,
        judgement::{Judgement, judge, spares, stands_in},
        outcome::Kind,
        question::{ClientSide, Content, Found, Look, Question, Way, decide, look, way},
        refusal::Refusal,
        request::Head,
        respond::{aged, stored_for},
        said::believe,
        verdict::{Tier, Verdict},
    },
    store::{Slot, StoredResponse},
};

/// The most times that the origin is asked for one explanation: conditions may have to be left out.
const MOST_QUESTIONS: usize = 3;

/// The most variants of a URL that are looked at.
const MOST_VARIANTS: usize = 8;

/// What would happen to a request.
pub struct DryRun {
    pub asked: Asked,
    /// The target as the client sent it.
    pub target: String,
    pub body: Body,
    pub found: Found,
    /// The responses that are stored for the URL, the newest first.
    pub variants: Vec<Arc<StoredResponse>>,
    pub now: Timestamp,
    /// The decision to ask the origin, if that was the decision.
    pub forward: Option<Forward>,
    /// Why no stored response answers, the first reason first.
    pub noes: Vec<Reason>,
    /// The stored response is validated behind the answer.
    pub refreshes: bool,
    pub ending: Ending,
    /// The origin's answer, if it was asked.
    pub answered: Option<Answered>,
}

/// The content of a request.
pub struct Body {
    bytes: Bytes,
    /// It would be read for the key.
    is_keyed: bool,
}

impl Body {
    pub fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Returns the content as an admission gives it.
    pub fn content(&self) -> Content {
        self.content_if(self.is_keyed)
    }

    /// Returns the content as an admission would give it, if it were read for the key or not.
    pub fn content_if(&self, is_keyed: bool) -> Content {
        let (bytes, length) = (self.bytes.clone(), self.length());
        match (length, is_keyed) {
            (0, _) => Content::None,
            (1..=QUERY_CONTENT, true) => Content::Read(bytes),
            _ => Content::Stream(Upload { length: Some(length), pieces: Box::pin(stream::iter([Ok(bytes)])) }),
        }
    }
}

/// How a request would end.
pub enum Ending {
    /// A stored response answers.
    FromCache {
        verdict: Box<Verdict>,
        stale: bool,
    },
    /// No stored response may answer, and the request wants no other answer.
    Refused(Reason),
    /// The request waits for the answer to another one.
    Waits,
    /// The origin is asked. Its answer is not known.
    Asks,
    /// The origin's answer is relayed, and stored if the verdict says so.
    Answered(Box<Verdict>),
    Failed(OriginError),
}

impl DryRun {
    /// Returns true if the origin would be asked before there is an answer.
    pub fn asks_origin(&self) -> bool {
        match &self.ending {
            Ending::FromCache { verdict, .. } => verdict.fwd.is_some(),
            Ending::Refused(_) => false,
            Ending::Waits | Ending::Asks | Ending::Answered(_) | Ending::Failed(_) => true,
        }
    }

    /// Returns the verdict on the answer. `None`: it depends on an answer that is not known.
    pub fn verdict(&self) -> Option<Verdict> {
        match &self.ending {
            Ending::FromCache { verdict, .. } | Ending::Answered(verdict) => Some(Verdict::clone(verdict)),
            Ending::Refused(reason) => Some(Verdict::refused(*reason)),
            Ending::Failed(error) => Some(self.forwarded().failed(error)),
            Ending::Waits | Ending::Asks => None,
        }
    }

    /// Returns the verdict before there is an answer of the origin.
    fn forwarded(&self) -> Verdict {
        let (fwd, reason) =
            self.forward.map_or((Fwd::Miss, Reason::NotStored), |forward| (forward.fwd, forward.reason));
        Verdict::forwarded(fwd, reason)
    }

    /// Returns true if the origin's answer would be stored. `None`: it is not known.
    pub fn stores(&self) -> Option<bool> {
        match &self.ending {
            Ending::Answered(verdict) => Some(verdict.stored),
            _ => None,
        }
    }

    /// Returns the words for a reason. One that comes from a rule names it.
    pub fn words(&self, reason: Reason) -> String {
        let of_answer = self.answered.as_ref().map(|answered| self.asked.steered.answer(&answered.response.head));
        let by_rule = match &of_answer {
            Some(effective) => effective.words(reason),
            None => self.asked.steered.request().words(reason),
        };
        by_rule.unwrap_or_else(|| reason.as_str().to_owned())
    }
}

/// Runs a request. The error says which field is invalid, or why the origin is not asked.
pub async fn dry_run(
    cx: Rc<Context>,
    method: &Method,
    host: &str,
    wanted: &Wanted,
) -> Result<Result<DryRun, Refusal>, String> {
    let fields = fields(host, wanted)?;
    let (mut peer, mut scheme) = (Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), Scheme::Http);
    let said = believe(&mut peer, &mut scheme, &fields, &cx.trusted);
    let local = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, cx.port)));
    let head = Head { method, target: wanted.target.clone(), scheme, version: Version::Http11, peer };
    let understood = match understand(&cx, head, fields, local, &said) {
        Ok(understood) => understood,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let bytes = wanted.data.clone().unwrap_or_default().into();
    let body = Body { bytes, is_keyed: understood.asks_with_content() };
    let asked = match understood.asked(cx, &body.content(), local, WorkerHandle::idle()) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if wanted.ask && !is_safe_request(&asked.request) {
        return Err(format!("--ask sends the request to the origin, and {method} may change something there"));
    }
    Ok(Ok(run(asked, body, wanted).await))
}

fn fields(host: &str, wanted: &Wanted) -> Result<Fields, String> {
    let mut fields = Fields::new();
    let value = |name: &str, value: &str| {
        FieldValue::from_str(value).map_err(|_| format!("invalid value of {name}: {value:?}"))
    };
    fields.append(HOST, value("Host", host)?);
    for (name, text) in &wanted.fields {
        let known = FieldName::from_bytes(name.as_bytes());
        let known = known.map_err(|_| format!("invalid header {name:?}: expected a name, for example Accept"))?;
        fields.append(known, value(name, text)?);
    }
    Ok(fields)
}

async fn run(asked: Asked, body: Body, wanted: &Wanted) -> DryRun {
    let content = body.content();
    let found = look(&asked, &content, Look::Peek).await;
    let variants = variants(&asked).await;
    let now = asked.cx.clock.now();
    let is_bound = authenticates_connection(&asked.request.fields).is_some();
    let decision = decide(&asked, &content, &found, || is_bound, now);
    let (mut refreshes, mut forward, mut reloads) = (false, None, false);
    let ending = match decision {
        Reuse::Serve(stored, reason) => Some(hit(&asked, stored, reason, now)),
        Reuse::Refresh(stored, reason) => {
            refreshes = true;
            Some(hit(&asked, stored, reason, now))
        }
        Reuse::Refuse(reason) => Some(Ending::Refused(reason)),
        Reuse::Reload(_, decided) => {
            (forward, reloads) = (Some(decided), true);
            None
        }
        Reuse::Forward(decided) => {
            forward = Some(decided);
            None
        }
    };
    let noes = match (&ending, forward) {
        (Some(Ending::Refused(first)), _) => noes(&asked, &found, *first, now),
        (_, Some(forward)) => noes(&asked, &found, forward.reason, now),
        _ => Vec::new(),
    };
    let target = wanted.target.clone();
    let ending = ending.unwrap_or(Ending::Asks);
    let mut run =
        DryRun { asked, target, body, found, variants, now, forward, noes, refreshes, ending, answered: None };
    if let Some(forward) = forward {
        (run.ending, run.answered) = ask(&run, forward, reloads, wanted.ask).await;
    }
    run
}

/// Returns the ending of a request that is answered from a stored response, without asking the origin.
fn hit(asked: &Asked, stored: &StoredResponse, reason: Reason, now: Timestamp) -> Ending {
    from_cache(aged(asked, &stored.head, Verdict::hit(reason, Tier::Memory), now))
}

fn from_cache(verdict: Verdict) -> Ending {
    let stale = Kind::of_answer(&verdict) == Kind::Stale;
    Ending::FromCache { verdict: Box::new(verdict), stale }
}

/// Decides how the request goes to the origin, and asks it if `really`.
async fn ask(run: &DryRun, forward: Forward, reloads: bool, really: bool) -> (Ending, Option<Answered>) {
    let DryRun { asked, found, now, .. } = run;
    let Way { mode, alone } = way(asked, found, forward.mode);
    let mut question = Question::new(asked.clone(), run.body.content(), None, found.clone(), mode);
    question.choose_flight();
    if !alone && question.collapses() && asked.cx.shared.flights.has(&question.flight) {
        return (Ending::Waits, None);
    }
    let stored = question.stored.clone();
    if let Some(stored) = stored.as_ref().filter(|_| reloads && !asked.cx.shared.would_reload(&asked.primary, *now)) {
        return (hit(asked, stored, Reason::JustAsked, *now), None);
    }
    let may_ask = asked.site.health.would_ask(&asked.primary, *now);
    if let Some((stored, reason)) =
        stored.as_ref().filter(|_| !may_ask).and_then(|stored| Some((stored, spares(asked, stored)?)))
    {
        return (hit(asked, stored, reason, *now), None);
    }
    match really {
        true => answered(question, &run.body, run.forwarded()).await,
        false => (Ending::Asks, None),
    }
}

/// Asks the origin, and says what its answer would mean.
async fn answered(mut question: Question, body: &Body, forwarded: Verdict) -> (Ending, Option<Answered>) {
    for _ in 0..MOST_QUESTIONS {
        let (conditions, added) = question.conditions();
        let asked = &question.asked;
        let sent = exchange::send(asked, body.content(), conditions, &added, ClientSide::default()).await;
        let answered = match sent {
            Ok(answered) => answered,
            Err(error) => return (failed(&question, forwarded, error), None),
        };
        let judgement = judge(&question, &answered);
        if let Judgement::Anew { .. } = judgement {
            question.mode = Mode::Fetch;
            continue;
        }
        return (meaning(&question, judgement, &answered, forwarded), Some(answered));
    }
    (Ending::Failed(OriginError::UnaskedNotModified), None)
}

fn meaning(question: &Question, judgement: Judgement, answered: &Answered, forwarded: Verdict) -> Ending {
    let Answered { response, times } = answered;
    let (asked, now) = (&question.asked, question.asked.cx.clock.now());
    let status = response.head.status.as_u16();
    let verdict = || forwarded.clone().answered(status, *times);
    match judgement {
        Judgement::Freshened { head, .. } | Judgement::Confirmed(head) => {
            from_cache(aged(asked, &head, verdict().using_stored(Reason::Validated), now))
        }
        Judgement::StandsIn(stored, reason) => {
            let verdict = Verdict { fwd_status: Some(status), ..forwarded.using_stored(reason) };
            from_cache(aged(asked, &stored.head, verdict, now))
        }
        Judgement::Kept { head, completes: Some(stored) } => {
            let head = parts::completed(&asked.request, &stored.head, &head);
            Ending::Answered(Box::new(aged(asked, &head, verdict().kept(None), now)))
        }
        Judgement::Kept { head, completes: None } => {
            Ending::Answered(Box::new(stored_for(asked, &head, verdict().kept(None))))
        }
        Judgement::NotStored(reason) => {
            let steered = Some(asked.steered.answer(&response.head));
            Ending::Answered(Box::new(Verdict { steered, ..verdict().kept(Some(reason)) }))
        }
        Judgement::Unasked | Judgement::Anew { .. } => failed(question, forwarded, OriginError::UnaskedNotModified),
    }
}

fn failed(question: &Question, forwarded: Verdict, error: OriginError) -> Ending {
    let (asked, status) = (&question.asked, status_of(&error));
    let stands_in = question.stored.as_ref().and_then(|stored| Some((stored, stands_in(asked, stored, status)?)));
    match stands_in {
        Some((stored, reason)) => {
            let failure = Some(Box::new(error));
            let verdict = Verdict { fwd_status: status, failure, ..forwarded.using_stored(reason) };
            from_cache(aged(asked, &stored.head, verdict, asked.cx.clock.now()))
        }
        None => Ending::Failed(error),
    }
}

/// Returns why no stored response answers: `first`, and what would stand in the way if the request did not say that.
fn noes(asked: &Asked, found: &Found, first: Reason, now: Timestamp) -> Vec<Reason> {
    let (mut noes, mut request) = (vec![first], Request::clone(&asked.request));
    let stored = found.stored.as_deref();
    let options = asked.policy_for(stored.map(|stored| &stored.head));
    loop {
        let said: &[FieldName] = match noes.last() {
            Some(
                Reason::OnlyIfCached
                | Reason::RequestNoStore
                | Reason::RequestNoCache
                | Reason::RequestMaxAge
                | Reason::RequestMinFresh,
            ) => &[CACHE_CONTROL, PRAGMA],
            Some(Reason::Precondition) => &[IF_MATCH, IF_UNMODIFIED_SINCE],
            Some(Reason::RangeUnit) => &[RANGE],
            _ => return noes,
        };
        said.iter().for_each(|name| request.fields.remove(name));
        match reuse(&request, stored, found.variants, now, &options) {
            Reuse::Forward(forward) | Reuse::Reload(_, forward) if !noes.contains(&forward.reason) => {
                noes.push(forward.reason)
            }
            _ => return noes,
        }
    }
}

/// Returns what is stored for the URL, the newest first.
async fn variants(asked: &Asked) -> Vec<Arc<StoredResponse>> {
    let store = &asked.cx.store;
    let Some(Slot::Variants(list)) = store.peek(&asked.primary).await else { return Vec::new() };
    let mut variants = Vec::new();
    for variant in list.iter().take(MOST_VARIANTS) {
        if let Some(Slot::Response(stored)) = store.peek(&variant.key).await {
            variants.push(stored);
        }
    }
    variants
}
