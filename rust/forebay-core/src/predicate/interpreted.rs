//! A part of an expression that the interpreter evaluates.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::common::types::CelBool;
use cel::{Context, Env, IdedExpr, Value};

use super::bind::bind;
use super::check::Uses;
use super::evaluation::Evaluation;
use super::failure::{Cause, Failure};
use super::position::Position;
use super::view::RecordView;
use super::{compare, meter};

/// What expressions may name.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::stdlib();
    // Cannot be declared already.
    let _infallible = meter::declare(&mut environment).and_then(|()| compare::declare(&mut environment));
    Arc::new(environment)
});

/// An expression, or a part of one.
pub(super) struct Interpreted {
    root: IdedExpr,
    uses: Uses,
    /// Its place in the whole expression.
    position: Position,
}

impl std::fmt::Debug for Interpreted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interpreted").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Interpreted {
    /// Takes an expression that keeps to the bounds, and the variables that it uses.
    pub(super) fn new(mut root: IdedExpr, uses: Uses, position: Position) -> Self {
        compare::install(&mut root);
        meter::install(&mut root);
        Self { root, uses, position }
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn evaluate(&self, view: &mut RecordView<'_, '_>) -> Evaluation<'_> {
        view.meter();
        // A panic would be a defect of the interpreter; its reader goes on with the next record.
        let evaluated = catch_unwind(AssertUnwindSafe(|| self.interpret(view)));
        match evaluated.unwrap_or(Err(Cause::Panic)) {
            Ok(true) => Evaluation::Match,
            Ok(false) => Evaluation::NoMatch,
            Err(cause) => Evaluation::Failed(Failure::new(self, cause)),
        }
    }

    fn interpret(&self, view: &RecordView<'_, '_>) -> Result<bool, Cause> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        let (partition, offset) = view.place;
        bind(&mut context, &self.uses, partition, offset, view.record);
        let value = Value::resolve_val(&self.root, &context).map_err(|error| Cause::Interpreter(Box::new(error)))?;
        match value.downcast_ref::<CelBool>() {
            Some(is) => Ok(*is.inner()),
            None => Err(Cause::NotBoolean(value.get_type().name().into())),
        }
    }
}
