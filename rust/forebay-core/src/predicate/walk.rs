//! The way through an expression's tree.

use cel::IdedExpr;
use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr};

/// Gives each direct part of an expression to `visit`. Literals of messages, which no filter may have, have none.
pub(super) fn for_each_part(node: &mut IdedExpr, visit: fn(&mut IdedExpr)) {
    match &mut node.expr {
        Expr::Call(call) => {
            if let Some(target) = &mut call.target {
                visit(target);
            }
            call.args.iter_mut().for_each(visit);
        }
        Expr::Select(select) => visit(&mut select.operand),
        Expr::List(list) => list.elements.iter_mut().for_each(visit),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| match &mut entry.expr {
            EntryExpr::MapEntry(entry) => {
                visit(&mut entry.key);
                visit(&mut entry.value);
            }
            EntryExpr::StructField(field) => visit(&mut field.value),
        }),
        Expr::Comprehension(of) => {
            let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } = of.as_mut();
            [iter_range, accu_init, loop_cond, loop_step, result].into_iter().for_each(visit);
        }
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}
