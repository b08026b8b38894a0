package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settled returns the values of flags of a command, as it would see them.
func settled(t *testing.T, env map[string]string, args ...string) (values map[string]string, stderr string, code int) {
	t.Helper()
	var errs bytes.Buffer
	p := &program{stdout: &errs, stderr: &errs, env: func(name string) string { return env[name] }}
	root := p.root()
	values = map[string]string{}
	for _, c := range root.Commands() {
		c.RunE = func(c *cobra.Command, _ []string) error {
			c.Flags().VisitAll(func(f *pflag.Flag) { values[f.Name] = f.Value.String() })
			return nil
		}
	}
	root.SetArgs(doubleDashes(root, args))
	if err := root.Execute(); err != nil {
		return values, err.Error(), exitUsage
	}
	return values, errs.String(), 0
}

func TestTheOrderOfSettings(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	t.Chdir(dir)
	env := map[string]string{"XDG_CONFIG_HOME": home}
	expect := func(when, flag, want string, args ...string) {
		t.Helper()
		values, stderr, code := settled(t, env, append([]string{"serve"}, args...)...)
		if code != 0 || values[flag] != want {
			t.Errorf("%s: --%s is %q, want %q: %s", when, flag, values[flag], want, stderr)
		}
	}
	expect("without anything", "db", "leads.db")
	if err := os.Mkdir(filepath.Join(home, "leadflow"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, "leadflow", "config.toml"), "db = \"home.db\"\n")
	expect("with a file of the user's", "db", "home.db")
	write(t, configName, "db = \"shared.db\"\n[backup]\ndb = \"backup.db\"\n")
	expect("with a file in the working directory", "db", "shared.db")
	write(t, configName, "db = \"shared.db\"\n[serve]\ndb = \"table.db\"\n")
	expect("with a table of the command's", "db", "table.db")
	write(t, "other.toml", "db = \"other.db\"\n")
	expect("with a file that is named", "db", "other.db", "-config", "other.toml")
	env["LEADFLOW_CONFIG"] = "other.toml"
	expect("with a file that a variable names", "db", "other.db")
	env["LEADFLOW_DB"] = "env.db"
	expect("with a variable", "db", "env.db")
	expect("with the flag", "db", "flag.db", "-db", "flag.db")
	env["LEADFLOW_DB"] = ""
	expect("with an empty variable", "db", "other.db")
}

func TestTheConfigurationFileTakesValuesOfEveryKind(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, configName, `
json = true
limit = 7
[serve]
webhook-allow = ["a.test", "10.0.0.0/8"]
shutdown-timeout = "1m"
upload-limit = 1000000
log-level = "debug"
[simulate]
leads = 12
days = 0.5
start = 2026-01-02T03:04:05Z
`)
	env := map[string]string{"LEADFLOW_LEADS": "file.csv"}
	for command, want := range map[string]map[string]string{
		"serve":    {"webhook-allow": "a.test,10.0.0.0/8", "shutdown-timeout": "1m", "upload-limit": "1000000", "log-level": "debug"},
		"list":     {"json": "true", "limit": "7"},
		"simulate": {"leads": "12", "days": "0.5", "start": "2026-01-02T03:04:05Z"},
		"import":   {"leads": "file.csv"},
	} {
		values, stderr, code := settled(t, env, command)
		if code != 0 {
			t.Errorf("%s: %s", command, stderr)
		}
		for name, want := range want {
			if values[name] != want {
				t.Errorf("%s: --%s is %q, want %q", command, name, values[name], want)
			}
		}
	}
}

func TestAFaultyConfigurationFileIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		text  string
		wants []string
	}{
		{"adr = 1\ndbb = 2\n[serv]\n[serve]\nadress = \"x\"\n[man]\nx = 1\n", []string{
			`leadflow.toml: unknown key "adr"; did you mean "addr"?`,
			`leadflow.toml: unknown key "dbb"; did you mean "db"?`,
			`leadflow.toml: unknown table "serv"; did you mean "serve"?`,
			`leadflow.toml: unknown key "serve.adress"; did you mean "serve.addr"?`,
			`leadflow.toml: unknown table "man"`,
		}},
		{"shutdown_timeout = \"1m\"\n", []string{`unknown key "shutdown_timeout"; did you mean "shutdown-timeout"?`}},
		{"[serve]\nshutdown-timeout = 30\nworkers = \"many\"\n", []string{
			`leadflow.toml: serve.shutdown-timeout: invalid duration "30"; it has no unit: write "30s", "30m" or "30h"`,
			`leadflow.toml: serve.workers: "many" must be a whole number`,
		}},
		{"db = {a = 1}\n", []string{`unknown table "db"`}},
		{"db = [{a = 1}]\n", []string{"leadflow.toml: db: ", "must be a string, a number, true or false, or a list of these"}},
		{"db = \"x\"\ndb = \"y\"\n", []string{"leadflow.toml, line 2: "}},
		{"db = x\n", []string{"leadflow.toml, line 1: "}},
	} {
		write(t, configName, c.text)
		_, stderr, code := settled(t, nil, "serve")
		for _, want := range c.wants {
			if code != exitUsage || !strings.Contains(stderr, want) {
				t.Errorf("%q: no %q in %d: %s", c.text, want, code, stderr)
			}
		}
	}
	if _, stderr, code := settled(t, nil, "serve", "-config", "none.toml"); code != exitUsage || !strings.Contains(stderr, "none.toml: no such file") {
		t.Errorf("%d: %s", code, stderr)
	}
}

func TestASettingsFaultIsAUsageError(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "c.toml")
	write(t, config, "sever = \"http://127.0.0.1:1\"\n")
	for _, args := range [][]string{{"completion", "bash"}, {"version"}, {"help", "list"}, {"list", "-h"}} {
		if _, stderr, code := runBinary(t, []string{"LEADFLOW_CONFIG=" + config}, args...); code != 0 {
			t.Errorf("%q: %d: %s", args, code, stderr)
		}
	}
	_, stderr, code := runBinary(t, nil, "list", "-config", config)
	if want := `leadflow list: ` + config + `: unknown key "sever"; did you mean "server"?`; code != exitUsage || !strings.HasPrefix(stderr, want) {
		t.Errorf("%d: %s, want %s", code, stderr, want)
	}
}

func TestTheREADMEsConfigurationFileIsRight(t *testing.T) {
	readme := read(t, "README.md")
	_, rest, _ := strings.Cut(readme, "```toml\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the README has none")
	}
	t.Chdir(t.TempDir())
	write(t, configName, text)
	values, stderr, code := settled(t, nil, "serve")
	if code != 0 || values["webhook-allow"] != "dialer.example.com,10.0.0.0/8" || values["db"] != "/var/lib/leadflow/leads.db" {
		t.Errorf("%d: %s: %v", code, stderr, values)
	}
}
