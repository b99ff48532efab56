package behind

import (
	"context"
	"database/sql"
	"fmt"
)

// SQL is a [Check] that runs "select 1" on db and wants 1 back. It takes a
// connection from db's pool as any request of the application does, so it also
// fails when the pool stays exhausted for the whole timeout. The caller keeps
// db and closes it. The statement is understood by PostgreSQL, MySQL, SQLite
// and SQL Server; Oracle before 23ai wants "select 1 from dual" and a Check of
// its own.
func SQL(name string, db *sql.DB) Check {
	return Check{Name: name, Run: func(ctx context.Context) error {
		var one int
		if err := db.QueryRowContext(ctx, "select 1").Scan(&one); err != nil {
			return fmt.Errorf("select 1: %w", err)
		}
		if one != 1 {
			return fmt.Errorf("select 1: the database answered %d", one)
		}
		return nil
	}}
}
