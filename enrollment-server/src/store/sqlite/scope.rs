//! Of which methods rows are listed.

use issuance::store::MethodScope;
use rusqlite::Connection;

use super::failure::Failure;

/// The numbers of these methods, as far as any row names them, sorted.
pub(super) fn numbers(connection: &Connection, scope: &MethodScope) -> Result<Vec<i64>, Failure> {
    let mut numbers = Vec::new();
    match scope {
        MethodScope::Methods(methods) => {
            let sql = "SELECT number FROM resources WHERE namespace = ? AND name = ?";
            let mut statement = connection.prepare(sql)?;
            for method in methods {
                let mut rows = statement.query((method.namespace(), method.name()))?;
                numbers.extend(rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()?);
            }
        }
        MethodScope::Namespace(namespace) => {
            let mut statement = connection.prepare("SELECT number FROM resources WHERE namespace = ?")?;
            for number in statement.query_map([namespace], |row| row.get(0))? {
                numbers.push(number?);
            }
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// What holds for the rows of these methods, which is anything where none are given.
pub(super) fn condition(
    connection: &Connection,
    column: &str,
    scope: Option<&MethodScope>,
) -> Result<String, Failure> {
    match scope {
        Some(scope) => Ok(among(column, &numbers(connection, scope)?)),
        None => Ok("TRUE".to_owned()),
    }
}

/// What holds for the rows of the methods of these numbers. With a sign before the column no index is taken for it.
pub(super) fn among(column: &str, numbers: &[i64]) -> String {
    match numbers {
        [number] => format!("{column} = {number}"),
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            format!("{column} IN ({})", several.join(", "))
        }
    }
}
