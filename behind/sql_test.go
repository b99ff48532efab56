package behind_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/triage-lb/triage/behind"
)

// answering is a database/sql driver whose database answers every query with
// one value, or with its error.
type answering struct {
	value any
	err   error
	asked *string
}

func (a answering) Connect(context.Context) (driver.Conn, error) { return a, nil }
func (a answering) Driver() driver.Driver                        { return nil }
func (a answering) Begin() (driver.Tx, error)                    { return nil, errors.New("no transactions") }
func (a answering) Prepare(string) (driver.Stmt, error)          { return nil, errors.New("no statements") }
func (a answering) Close() error                                 { return nil }

func (a answering) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	if a.asked != nil {
		*a.asked = query
	}
	return &oneRow{value: a.value}, a.err
}

type oneRow struct {
	value any
	read  bool
}

func (*oneRow) Columns() []string { return []string{"1"} }
func (*oneRow) Close() error      { return nil }

func (r *oneRow) Next(dest []driver.Value) error {
	if r.read {
		return io.EOF
	}
	r.read = true
	dest[0] = r.value
	return nil
}

func TestSQL(t *testing.T) {
	for name, test := range map[string]struct {
		database answering
		want     string // "" for a pass
	}{
		"works":        {answering{value: int64(1)}, ""},
		"text":         {answering{value: []byte("1")}, ""},
		"wrong answer": {answering{value: int64(7)}, "select 1: the database answered 7"},
		"null":         {answering{value: nil}, "select 1: "},
		"down":         {answering{err: errors.New("connection refused")}, "select 1: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked string
			test.database.asked = &asked
			db := sql.OpenDB(test.database)
			defer db.Close()
			check := behind.SQL("database", db)
			err := check.Run(t.Context())
			if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("err = %v, want %q", err, test.want)
			}
			if check.Name != "database" || asked != "select 1" {
				t.Errorf("check %q asked %q", check.Name, asked)
			}
		})
	}
}
