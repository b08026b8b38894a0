// Command leadflow is leadflow as one static binary: a server that moves leads through
// workflows and asks your own programs, by webhook, to place the calls and send the
// messages; and commands to work with it.
//
// "leadflow help" lists the commands, where their settings come from, and the exit
// codes; "leadflow help COMMAND" a command's flags. README.md, beside this file, goes
// through the HTTP API with curl.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes; see the help of the root command.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitCut      = 3
	exitRejected = 4
	exitSignal   = 128 // and the signal's number
)

const rootHelp = `leadflow moves leads through outreach workflows.

"leadflow serve" runs the server. The other commands send requests to it, at the URL in
LEADFLOW_SERVER and with the token in LEADFLOW_TOKEN; validate, backup, restore and simulate read
files and need no server.

A flag's value comes from the first of these that has one:

    1. the command line: --db leads.db, --db=leads.db, or with a single dash: -db leads.db
    2. the environment: LEADFLOW_DB for --db, LEADFLOW_SHUTDOWN_TIMEOUT for --shutdown-timeout
    3. the configuration file: the one that --config names, else leadflow.toml in the working
       directory, else leadflow/config.toml in $XDG_CONFIG_HOME (~/.config if that is not set)
    4. the default

The configuration file is TOML. Its keys are the names of flags; those in a table named after a
command are for that command only:

    server = "https://leads.example.com"
    [serve]
    addr = "0.0.0.0:8080"
    shutdown-timeout = "1m"

Exit codes:

    0    done; or stopped by SIGTERM or SIGINT, with the answers of all running webhooks on disk
    1    failed; the reason is on standard error
    2    a flag, an argument, the environment or the configuration file is wrong; nothing was done
    3    serve: stopped, but --shutdown-timeout passed before all running webhooks were answered.
         Their attempts are made again, under the same idempotency keys, at the next start
    4    import, suppress: done, but some rows of the file were rejected
    130  stopped by SIGINT: a command, or a server at the second signal
    143  stopped by SIGTERM, likewise

Colors are for terminals only. NO_COLOR=1 or TERM=dumb turns them off.`

// program is one run of the binary, with everything that it uses of its environment.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	asks           bool // standard input is a terminal, so a question can be answered
	paint, warn    palette
	env            func(name string) string
	signals        <-chan os.Signal
	exit           func(code int) // immediately
	config         string         // the configuration file, once it is read
}

// codeError is an error with an exit code of its own.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

// usage is an error of the command line, the environment or the configuration file.
func usage(format string, args ...any) error {
	return &codeError{exitUsage, fmt.Errorf(format, args...)}
}

func main() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	p := &program{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, asks: isTerminal(os.Stdin),
		paint: paletteFor(os.Stdout, os.Getenv), warn: paletteFor(os.Stderr, os.Getenv),
		env: os.Getenv, signals: signals, exit: os.Exit,
	}
	os.Exit(p.run(context.Background(), os.Args[1:]))
}

// run does what the arguments say and returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(doubleDashes(root, args))
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	path := command.CommandPath()
	fmt.Fprintf(p.stderr, "%s %v\n", p.warn.bad(path+":"), err)
	code := exitFailed
	var own *codeError
	if errors.As(err, &own) {
		code = own.code
	}
	if code == exitUsage && command != root && command.Name() != "help" {
		fmt.Fprintf(p.stderr, "See leadflow help %s.\n", command.Name())
	}
	return code
}

// root is the command line.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use: "leadflow", Short: "Moves leads through outreach workflows", Long: rootHelp, Version: versionText(),
		SilenceErrors: true, SilenceUsage: true,
		Args: func(root *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usage("there is no command %q; leadflow help lists them%s", args[0], didYouMean(args[0], names(root)))
		},
		RunE:              func(root *cobra.Command, _ []string) error { return root.Help() },
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return p.settle(c) },
	}
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"server", "The server and its database:", []*cobra.Command{p.serveCommand(), p.migrateCommand(), p.enginesCommand(), p.backupCommand(), p.restoreCommand()}},
		{"workflows", "Workflows:", []*cobra.Command{
			p.validateCommand(), p.simulateCommand(), p.forecastCommand(), p.importCommand(), p.editCommand(), p.activateCommand(), p.pauseCommand(),
			p.resumeCommand(), p.cancelCommand(), p.deleteCommand(),
		}},
		{"leads", "Leads:", []*cobra.Command{
			p.enrollCommand(), p.listCommand(), p.showCommand(), p.historyCommand(), p.explainCommand(), p.callsCommand(), p.removeCommand(), p.holdCommand(), p.releaseCommand(),
		}},
		{"people", "People, in every workflow:", []*cobra.Command{
			p.suppressCommand(), p.suppressionsCommand(), p.liftCommand(), p.signalCommand(), p.receiptCommand(), p.auditCommand(), p.limitsCommand(),
		}},
		{"other", "Other commands:", []*cobra.Command{p.versionCommand(), p.manCommand(), p.completionCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			describeVariables(c.Flags())
			root.AddCommand(c)
		}
	}
	help := p.helpCommand()
	help.GroupID = "other"
	root.SetHelpCommand(help)
	root.PersistentFlags().String(configFlag, "", "read settings from this TOML `file`")
	describeVariables(root.PersistentFlags())
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", ".FlagUsagesWrapped 100 "))
	root.SetFlagErrorFunc(flagError)
	cobra.EnableCommandSorting = false
	return root
}

// flagError says what is wrong with a flag, and which flag may be meant.
func flagError(c *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return usage("--%s: %w", invalid.GetFlag().Name, reworded(invalid.GetValue(), invalid.Unwrap()))
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usage("%w", err)
	}
	name := cmp.Or(unknown.GetSpecifiedShortnames(), unknown.GetSpecifiedName())
	name, _, _ = strings.Cut(name, "=")
	var known []string
	c.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
	return usage("unknown flag --%s%s", name, didYouMean("--"+name, known))
}

// names are those of the commands.
func names(root *cobra.Command) (list []string) {
	for _, c := range root.Commands() {
		if !c.Hidden {
			list = append(list, c.Name())
		}
	}
	return list
}

func (p *program) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Explain a command and its flags", DisableFlagsInUseLine: true,
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return names(c.Root()), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := c.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = c.Root().Args(c.Root(), rest)
			}
			if err != nil {
				return err
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// interruptible returns a context that the first signal cancels. It is for short
// commands that can be interrupted safely.
func (p *program) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case s := <-p.signals:
			cancel(&codeError{signalCode(s), fmt.Errorf("stopped by %s", s)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// signalCode is the exit code of a program that a signal stopped.
func signalCode(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return exitSignal + int(n)
	}
	return exitFailed
}
