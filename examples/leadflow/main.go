// Command leadflow is the whole of leadflow as one static binary: a server that
// moves leads through workflows and asks your own programs, by webhook, to place
// the calls and send the messages; and the commands to work with it.
//
//	leadflow serve                                           run the server
//	leadflow import -workflow FILE.json -leads FILE.csv      create a workflow and enroll a file
//	leadflow list [WORKFLOW]                                 list workflows, or the leads of one
//	leadflow show WORKFLOW [LEAD]                            show one of them
//	leadflow history WORKFLOW LEAD                           show every step of a lead
//	leadflow remove WORKFLOW LEAD                            take a lead out
//	leadflow backup FILE                                     copy the database while it is in use
//	leadflow simulate -workflow FILE.json                    play a workflow in virtual time, before it goes live
//	leadflow version                                         print the version
//
// Every flag can be given as an environment variable instead: -shutdown-timeout
// is LEADFLOW_SHUTDOWN_TIMEOUT; but LEADFLOW_LEADS is the file of import, not
// the number of simulate. The command line wins. "leadflow help COMMAND" lists a
// command's flags; README.md, beside this file, goes through the HTTP
// API with curl.
//
// # Exit codes
//
//	0    done; or stopped by SIGTERM or SIGINT, with every handler's answer on disk
//	1    failed; the reason is on standard error
//	2    the command line or the environment is wrong; nothing was done
//	3    serve: stopped, but time ran out for handlers that still ran. Their attempts are
//	     made again, under the same idempotency key, when the server starts next
//	4    import: done, but some rows of the file were rejected
//	130  stopped by SIGINT: a client command, or a server that got a second signal
//	143  the same with SIGTERM
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes; see the package's doc.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitCut      = 3
	exitRejected = 4
	exitSignal   = 128 // and the signal's number
)

// program is one run of the binary, and all of the outside world that it has.
type program struct {
	stdout, stderr io.Writer
	env            func(name string) string
	signals        <-chan os.Signal
	exit           func(code int) // at once
}

// command is what the binary can be asked to do.
type command struct {
	name, args, summary string
	details             string // for its help; optional
	// define adds the command's flags and returns what runs once they are set.
	define func(f *flags) func(ctx context.Context, p *program, args []string) error
}

var commands = []command{
	serveCommand, importCommand, listCommand, showCommand, historyCommand, removeCommand, backupCommand, simulateCommand,
	versionCommand,
}

// codeError is an error with an exit code of its own.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

// usage is an error of the command line.
func usage(format string, args ...any) error {
	return &codeError{exitUsage, fmt.Errorf(format, args...)}
}

func main() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	p := &program{stdout: os.Stdout, stderr: os.Stderr, env: os.Getenv, signals: signals, exit: os.Exit}
	os.Exit(p.run(context.Background(), os.Args[1:]))
}

// run does what the arguments say and returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	name := "help"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "help", "-h", "-help", "--help":
		if len(args) == 0 {
			p.printUsage()
			return 0
		}
		name, args = args[0], []string{"-h"}
	case "-version", "--version":
		name = "version"
	}
	for _, c := range commands {
		if c.name == name {
			return p.exitCode(c, p.runCommand(ctx, c, args))
		}
	}
	fmt.Fprintf(p.stderr, "leadflow: there is no command %q; leadflow help lists them\n", name)
	return exitUsage
}

func (p *program) runCommand(ctx context.Context, c command, args []string) error {
	f := newFlags(c, p.env)
	run := c.define(f)
	rest, err := f.parse(args)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.printHelp(p.stdout)
		}
		return err
	}
	return run(ctx, p, rest)
}

// exitCode says what went wrong, if anything did.
func (p *program) exitCode(c command, err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintf(p.stderr, "leadflow %s: %v\n", c.name, err)
	code := exitFailed
	var own *codeError
	if errors.As(err, &own) {
		code = own.code
	}
	if code == exitUsage {
		fmt.Fprintf(p.stderr, "leadflow help %s says more.\n", c.name)
	}
	return code
}

// interruptible returns a context that the first signal ends. Commands that run
// for a moment and leave nothing half done use it.
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

func (p *program) printUsage() {
	fmt.Fprint(p.stdout, "leadflow moves leads through outreach workflows.\n\nUsage:\n\n")
	for _, c := range commands {
		fmt.Fprintf(p.stdout, "  leadflow %-56s %s\n", join(c.name, c.args), c.summary)
	}
	fmt.Fprint(p.stdout, "\nleadflow help COMMAND lists the flags of a command. Each may be given as an environment\n"+
		"variable instead: -shutdown-timeout as LEADFLOW_SHUTDOWN_TIMEOUT.\n")
}
