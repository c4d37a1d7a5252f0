//! The machine: one for the process, and what a call may use of it.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use wasmtime::{
    Config, Engine, Store, StoreLimits, StoreLimitsBuilder, Trap,
    component::{Component, InstancePre, Linker, Val, types::ComponentItem},
};

/// What one call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Instructions, nearly.
    pub(crate) fuel: u64,
    /// Of linear memory, bytes.
    pub(crate) memory_bytes: usize,
    /// Wall time, ms.
    pub(crate) time_ms: u64,
}

/// A component, ready to be called.
pub(crate) struct Program {
    instance: InstancePre<StoreLimits>,
    version: String,
}

impl Program {
    /// Compiles a component, binary or text.
    ///
    /// # Errors
    /// It is none, or exports neither `plan` nor `decide`.
    pub(crate) fn compile(bytes: &[u8]) -> Result<Self, String> {
        let engine = &*ENGINE;
        let component = Component::new(engine, bytes).map_err(|error| format!("no component: {error:#}"))?;
        let kind = component.component_type();
        for (name, parameters) in [(PLAN, 1), (DECIDE, 2)] {
            match kind.get_export(engine, name).map(|export| export.ty) {
                Some(ComponentItem::ComponentFunc(function))
                    if function.params().len() == parameters && function.results().len() == 1 => {}
                _ => return Err(format!("it does not export `{name}` as `wit/plugin.wit` has it")),
            }
        }
        let mut linker = Linker::new(engine);
        // Runtimes of languages import what they might need. A plugin that comes to use it fails.
        linker.define_unknown_imports_as_traps(&component).map_err(|error| format!("{error:#}"))?;
        let instance = linker.instantiate_pre(&component).map_err(|error| format!("{error:#}"))?;
        let mut hash = DefaultHasher::new();
        bytes.hash(&mut hash);
        Ok(Self { instance, version: format!("{:016x}", hash.finish()) })
    }

    /// A fingerprint of its bytes: tells one from another, and is the same in every process of one build.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Calls a function in an instance of its own.
    ///
    /// # Errors
    /// Why there is no answer: nothing of the request.
    pub(crate) fn call(&self, bounds: Bounds, name: &str, arguments: &[Val]) -> Result<Val, String> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(bounds.memory_bytes)
            .memories(4)
            .tables(16)
            .table_elements(20_000)
            .instances(64)
            .build();
        let mut store = Store::new(&ENGINE, limits);
        store.limiter(|limits| limits);
        store.set_fuel(bounds.fuel).map_err(|error| told(&error))?;
        store.set_epoch_deadline(bounds.time_ms.div_ceil(TICK_MS).saturating_add(1));
        let instance = self.instance.instantiate(&mut store).map_err(|error| told(&error))?;
        let function = instance.get_func(&mut store, name).ok_or("the function is not there")?;
        let mut answer = [Val::Bool(false)];
        function.call(&mut store, arguments, &mut answer).map_err(|error| told(&error))?;
        let [answer] = answer;
        Ok(answer)
    }
}

/// What went wrong, in words of the machine's.
fn told(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => "it used up its fuel".to_owned(),
        Some(Trap::Interrupt) => "it took too long".to_owned(),
        Some(trap) => format!("it trapped: {trap}"),
        None => format!("it could not be called: {}", error.root_cause()),
    }
}

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = Config::new();
    config.consume_fuel(true).epoch_interruption(true).wasm_component_model(true);
    // INVARIANT: these settings go together; the tests make an engine.
    let engine = Engine::new(&config).expect("an engine");
    let ticked = engine.weak();
    let ticks = move || {
        while let Some(engine) = ticked.upgrade() {
            engine.increment_epoch();
            thread::sleep(Duration::from_millis(TICK_MS));
        }
    };
    // Without it calls are bounded by fuel alone.
    if let Err(error) = thread::Builder::new().name("component-clock".to_owned()).spawn(ticks) {
        tracing::warn!(%error, "components have no clock; fuel alone bounds them");
    }
    engine
});

pub(crate) const PLAN: &str = "plan";
pub(crate) const DECIDE: &str = "decide";
/// How exactly time is measured.
const TICK_MS: u64 = 5;
/// Shared by plugins and the watcher of files.
pub(crate) type Shared = Arc<Program>;
