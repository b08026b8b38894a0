package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// No statement of a commit, and none that the engines run all the time, reads a table from
// end to end that grows with the leads: also if it was planned while there were none.
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
	planOnce(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	nulls := map[string]string{}
	for what, text := range map[string]string{
		"change": changeText, "end": endText, "begin live": beginLiveText, "live": liveText, "contacts": updateContactsText, "calls": putCallsText,
		"payloads": putPayloadsText, "drop payloads": dropPayloadsText, "forget": forgetText, "lock": lockText,
		"load": loadText, "due": dueText, "my due": myDueText, "expect": expectText, "forget steps": forgetStepsText,
		"starts": startsText, "starts of a phone": startsOfPhoneText, "forget starts": forgetStartsText, "unclaim": unclaimText,
		"suppressions": suppressionsOfText, "nobody suppressed": nobodySuppressedText, "leads of": leadsOfText, "live leads": liveLeadsText,
		"suppressions of persons": suppressionsText + "WHERE " + fmt.Sprintf(ofPersonsText, "$1", "$2"),
		"limit use":               limitUseText, "forget limits": forgetLimitsText, "last audit": lastAuditText, "lock engines": lockEnginesText, "changed": changedText,
	} {
		d, err := conn.Prepare(ctx, what, text)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if n := len(d.ParamOIDs); n > 0 {
			nulls[what] = "(" + strings.TrimSuffix(strings.Repeat("NULL, ", n), ", ") + ")"
		} else {
			nulls[what] = ""
		}
	}
	small := []string{"node_counts", "audit_last", "engines", "limits"}
	explain := func(when string) {
		t.Helper()
		for what := range nulls {
			plan, err := conn.Query(ctx, fmt.Sprintf("EXPLAIN EXECUTE %s %s", pgx.Identifier{what}.Sanitize(), nulls[what]), pgx.QueryExecModeSimpleProtocol)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			lines, err := pgx.CollectRows(plan, pgx.RowTo[string])
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for i, line := range lines {
				if strings.HasPrefix(line, "JIT:") {
					t.Errorf("planned %s, %s is compiled each time:\n%s", when, what, strings.Join(lines, "\n"))
				}
				if slices.ContainsFunc(small, func(table string) bool { return strings.Contains(line, " on "+table) }) {
					continue
				}
				seq := strings.Contains(line, "Seq Scan on ")
				index := strings.Contains(line, " using ") && (i+1 == len(lines) || !strings.Contains(lines[i+1], "Index Cond"))
				if seq || index {
					t.Errorf("planned %s, %s reads all of a table:\n%s", when, what, strings.Join(lines, "\n"))
					break
				}
			}
		}
	}
	explain("without leads")
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
		`INSERT INTO suppressions SELECT g, '\x00', g, 'crm-' || g, NULL, NULL, NULL, NULL, 0, 0, 0 FROM generate_series(1, rows) g`,
		`INSERT INTO audit SELECT g, g, NULL, NULL, NULL, g, 'crm-' || g, NULL, g, NULL, NULL, '\x00' FROM generate_series(1, rows) g`,
		`INSERT INTO payloads SELECT g, 1, '\x00' FROM generate_series(1, rows) g`,
	} {
		text = strings.Replace(text, "rows)", fmt.Sprintf("%d)", rows), 1)
		if _, err := conn.Exec(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if _, err := conn.Exec(ctx, "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	explain("with leads")
}
