package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// No statement of a commit, and none that the engines run all the time, reads a table from
// end to end that grows with the leads.
func TestNoStatementReadsAllLeads(t *testing.T) {
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	ctx := t.Context()
	name := pgtest.Schema(t)
	s, err := Open(ctx, pgtest.URL(), Options{Schema: name})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(pgtest.URL())
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["search_path"] = name
	config.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	const rows = 20_000
	for _, text := range []string{
		`INSERT INTO leads SELECT g, g % 10, 1, 9, 0, 0, 1, 1, 0, 0, 0, 0, 0, g, 0, 0, NULL, NULL, g % 64 FROM generate_series(1, rows) g`,
		`INSERT INTO contacts SELECT g, '\x00', g, NULL, NULL, NULL, 0 FROM generate_series(1, rows) g`,
		`INSERT INTO live SELECT g % 10, g, g FROM generate_series(1, rows) g`,
		`INSERT INTO steps SELECT g, 0, g, 1, 0, 0, 0, 1, 0, 0, 0, 0 FROM generate_series(1, rows) g`,
		`INSERT INTO calls SELECT g, g, '\x00', 1, g, 1, 0, 1, NULL, 0, 0, 0 FROM generate_series(1, rows) g`,
		`INSERT INTO starts (key, at, phone, n) SELECT (g % 50)::text, g, g % 2 * g, 1 FROM generate_series(1, rows) g`,
		`INSERT INTO limits (key, flying) SELECT (g % 500)::text, 0 FROM generate_series(1, rows) g ON CONFLICT DO NOTHING`,
		`INSERT INTO limit_starts SELECT (g % 500)::text, to_timestamp(g), 1, g FROM generate_series(1, rows) g`,
		`INSERT INTO payloads SELECT g, 1, '\x00' FROM generate_series(1, rows) g`,
		`INSERT INTO suppressions SELECT g, '\x00', g, 'crm-' || g, NULL, NULL, NULL, NULL, 0, 0, 0 FROM generate_series(1, rows) g`,
		`INSERT INTO audit SELECT g, g, NULL, NULL, NULL, g, 'crm-' || g, NULL, g, NULL, NULL, '\x00' FROM generate_series(1, rows) g`,
	} {
		text = strings.Replace(text, "rows)", fmt.Sprintf("%d)", rows), 1)
		if _, err := conn.Exec(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if _, err := conn.Exec(ctx, "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"change": changeText, "end": endText, "begin live": beginLiveText, "live": liveText, "contacts": updateContactsText, "calls": putCallsText,
		"payloads": putPayloadsText, "drop payloads": dropPayloadsText, "forget": forgetText, "lock": lockText,
		"load": loadText, "due": dueText, "my due": myDueText, "expect": expectText,
		"starts": startsText, "starts of a phone": startsOfPhoneText, "forget starts": forgetStartsText,
		"limit use": limitUseText, "forget limits": forgetLimitsText,
	} {
		d, err := conn.Prepare(ctx, what, text)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(d.ParamOIDs)), ", ")
		plan, err := conn.Query(ctx, fmt.Sprintf("EXPLAIN EXECUTE %s (%s)", pgx.Identifier{what}.Sanitize(), nulls), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		lines, err := pgx.CollectRows(plan, pgx.RowTo[string])
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for _, line := range lines {
			if strings.Contains(line, "Seq Scan on ") && !strings.Contains(line, "node_counts") && !strings.Contains(line, " limits ") {
				t.Errorf("%s reads all of a table:\n%s", what, strings.Join(lines, "\n"))
				break
			}
		}
	}
}
