//! Bounds on loops. The interpreter has none, so each body of a loop is put behind a call that counts it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::common::types::CelBool;
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError, IdedExpr};

use super::walk::for_each_part;

/// Steps of all loops of one evaluation: enough for a list of a hundred thousand, or two loops over three hundred.
pub const MAX_STEPS: u32 = 100_000;

/// The last resort against steps that are slow by themselves; [`MAX_STEPS`] of what a loop usually does take a tenth.
const MAX_TIME: Duration = Duration::from_secs(1);

const STEP: &str = "@step";

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(0) };
    static STARTED: Cell<Option<Instant>> = const { Cell::new(None) };
    static EXHAUSTED: Cell<bool> = const { Cell::new(false) };
}

/// Declares the counting call; no expression can spell its name.
pub(super) fn declare(environment: &mut Env) -> Result<(), DeclarationError> {
    environment.add_overload(STEP, "forebay_step", Vec::new(), step)
}

/// Resets the meter; called before each evaluation on this thread.
pub(super) fn start() {
    LEFT.set(MAX_STEPS);
    STARTED.set(None);
    EXHAUSTED.set(false);
}

/// Returns whether the evaluation ran out of steps; its result is then of no use, even where an operator absorbed the
/// error.
pub(super) fn is_exhausted() -> bool {
    EXHAUSTED.get()
}

fn step<'b, 'v>(_arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    // Only a loop asks for the time.
    let started = STARTED.get().unwrap_or_else(|| {
        let now = Instant::now();
        STARTED.set(Some(now));
        now
    });
    let left = LEFT.get().checked_sub(1).filter(|_| !EXHAUSTED.get() && started.elapsed() < MAX_TIME);
    let Some(left) = left else {
        EXHAUSTED.set(true);
        return Err(ExecutionError::InternalError("out of steps".to_owned()));
    };
    LEFT.set(left);
    Ok(CowVal::owned(CelBool::from(true)))
}

/// Puts the counting call before the body of every loop.
pub(super) fn install(node: &mut IdedExpr) {
    for_each_part(node, install);
    if let Expr::Comprehension(of) = &mut node.expr {
        let ComprehensionExpr { accu_var, loop_step, .. } = of.as_mut();
        meter(loop_step, accu_var);
    }
}

/// Guards the parts of a loop's step that do not look at what it has gathered: they are what the user wrote. The rest
/// keeps its shape, by which the interpreter knows loops that append.
fn meter(node: &mut IdedExpr, gathered: &str) {
    if mentions(node, gathered) {
        if let Expr::Call(call) = &mut node.expr {
            for argument in &mut call.args {
                meter(argument, gathered);
            }
        } else if let Expr::List(list) = &mut node.expr {
            for element in &mut list.elements {
                meter(element, gathered);
            }
        }
        return;
    }
    if let Expr::List(list) = &mut node.expr {
        // A list that is appended to stays a list.
        for element in &mut list.elements {
            guard(element);
        }
        return;
    }
    guard(node);
}

fn guard(node: &mut IdedExpr) {
    let body = std::mem::take(node);
    let call = |name: &str, args| Expr::Call(CallExpr { target: None, func_name: name.to_owned(), args });
    let unreached = Expr::Literal(LiteralValue::Boolean(CelBool::from(false)));
    let id = body.id;
    let nodes = vec![IdedExpr { id, expr: call(STEP, Vec::new()) }, body, IdedExpr { id, expr: unreached }];
    *node = IdedExpr { id, expr: call(operators::CONDITIONAL, nodes) };
}

fn mentions(node: &IdedExpr, name: &str) -> bool {
    let among = |nodes: &[IdedExpr]| nodes.iter().any(|node| mentions(node, name));
    match &node.expr {
        Expr::Ident(ident) => ident == name,
        Expr::Call(call) => call.target.as_deref().is_some_and(|target| mentions(target, name)) || among(&call.args),
        Expr::Select(select) => mentions(&select.operand, name),
        Expr::List(list) => among(&list.elements),
        Expr::Map(map) => map.entries.iter().any(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => mentions(&entry.key, name) || mentions(&entry.value, name),
            EntryExpr::StructField(field) => mentions(&field.value, name),
        }),
        // A loop inside gathers under the same name, but its own.
        Expr::Comprehension(of) => {
            mentions(&of.iter_range, name)
                || (of.accu_var != name
                    && [&of.accu_init, &of.loop_cond, &of.loop_step, &of.result].iter().any(|n| mentions(n, name)))
        }
        Expr::Struct(_) | Expr::Literal(_) | Expr::Unspecified => false,
    }
}
