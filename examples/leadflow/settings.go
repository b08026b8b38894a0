package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/agnivade/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// This file gets the values of flags that are not on the command line: see rootHelp.

const (
	configFlag = "config"
	// configName is the configuration file in the working directory.
	configName = "leadflow.toml"
	// ownValue marks a flag whose name has another meaning in another command: it has no
	// environment variable, and in the configuration file it is in its command's table.
	ownValue = "leadflow:own"
)

// envName is the environment variable that stands for a flag.
func envName(flag string) string {
	return "LEADFLOW_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// describeVariables adds the names of the environment variables to the help of flags.
func describeVariables(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		variable := envName(f.Name)
		if f.Annotations[ownValue] != nil {
			variable = "no variable"
		}
		f.Usage += " [" + variable + "]"
	})
}

// settle sets the flags that are not on the command line. Commands without flags ignore
// invalid settings, because "completion" runs when a shell starts.
func (p *program) settle(c *cobra.Command) error {
	flags := 0
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			flags++
		}
	})
	if flags == 0 {
		return nil
	}
	named := c.Flags().Lookup(configFlag)
	path := named.Value.String()
	if path == "" {
		path = p.env(envName(configFlag))
	}
	file, err := p.readConfig(c.Root(), path)
	if err != nil {
		return &codeError{exitUsage, err}
	}
	if file != nil {
		p.config = file.path
	}
	var faults []error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == configFlag || f.Name == "help" {
			return
		}
		if value := p.env(envName(f.Name)); value != "" && f.Annotations[ownValue] == nil {
			f.Changed = true
			if err := f.Value.Set(value); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", envName(f.Name), reworded(value, err)))
			}
			return
		}
		if err := file.set(c.Name(), f); err != nil {
			faults = append(faults, err)
		}
	})
	if err := errors.Join(faults...); err != nil {
		return &codeError{exitUsage, err}
	}
	return nil
}

// reworded is the error of a flag's value in plain words, with the value.
func reworded(value string, err error) error {
	var number *strconv.NumError
	if errors.As(err, &number) {
		switch number.Func {
		case "ParseBool":
			err = errors.New("must be true or false")
		case "ParseUint":
			err = errors.New("must be a whole number, 0 or more")
		default:
			err = errors.New("must be a whole number")
		}
	}
	if strings.Contains(err.Error(), value) {
		return err
	}
	return fmt.Errorf("%q %w", value, err)
}

// configFile is the contents of a configuration file; nil if there is none.
type configFile struct {
	path   string
	values map[string]any
}

// readConfig reads the configuration file, and reports all keys that are not the name of
// a flag.
func (p *program) readConfig(root *cobra.Command, path string) (*configFile, error) {
	candidates := []string{path}
	if path == "" {
		candidates = []string{configName, filepath.Join(p.configHome(), "leadflow", "config.toml")}
	}
	for _, name := range candidates {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) && path == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		f := &configFile{path: name}
		if err := toml.Unmarshal(text, &f.values); err != nil {
			var syntax toml.ParseError
			if errors.As(err, &syntax) {
				return nil, fmt.Errorf("%s, line %d: %s", name, syntax.Position.Line, syntax.Message)
			}
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return f, f.check(root)
	}
	return nil, nil
}

func (p *program) configHome() string {
	if home := p.env("XDG_CONFIG_HOME"); filepath.IsAbs(home) {
		return home
	}
	return filepath.Join(p.env("HOME"), ".config")
}

// check reports all unknown keys.
func (f *configFile) check(root *cobra.Command) error {
	shared, commands := map[string]bool{}, map[string]map[string]bool{}
	for _, c := range root.Commands() {
		own := map[string]bool{}
		c.Flags().VisitAll(func(flag *pflag.Flag) {
			if flag.Name == "help" {
				return
			}
			own[flag.Name] = true
			if flag.Annotations[ownValue] == nil {
				shared[flag.Name] = true
			}
		})
		if len(own) > 0 {
			commands[c.Name()] = own
		}
	}
	var faults []error
	fault := func(key string, known []string, kind string) {
		faults = append(faults, fmt.Errorf("%s: unknown %s %q%s", f.path, kind, key, didYouMean(key, known)))
	}
	for _, key := range slices.Sorted(maps.Keys(f.values)) {
		table, isTable := f.values[key].(map[string]any)
		own := commands[key]
		switch {
		case isTable && own == nil:
			fault(key, slices.Sorted(maps.Keys(commands)), "table")
		case isTable:
			for _, name := range slices.Sorted(maps.Keys(table)) {
				if !own[name] {
					fault(key+"."+name, prefixed(key+".", own), "key")
				}
			}
		case !shared[key]:
			fault(key, slices.Sorted(maps.Keys(shared)), "key")
		}
	}
	return errors.Join(faults...)
}

func prefixed(prefix string, names map[string]bool) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		list = append(list, prefix+name)
	}
	return list
}

// set sets a flag of a command to its value in the file, if it has one.
func (f *configFile) set(command string, flag *pflag.Flag) error {
	if f == nil {
		return nil
	}
	key := command + "." + flag.Name
	table, _ := f.values[command].(map[string]any)
	value, found := table[flag.Name]
	if !found && flag.Annotations[ownValue] == nil {
		key = flag.Name
		value, found = f.values[key]
	}
	if !found {
		return nil
	}
	items, many := value.([]any)
	if !many {
		items = []any{value}
	}
	flag.Changed = true
	for _, item := range items {
		text, err := settingText(item)
		if err == nil {
			err = flag.Value.Set(text)
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", f.path, key, reworded(text, err))
		}
	}
	return nil
}

// settingText is a value of the file as it would be written on the command line.
func settingText(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case bool, int64, float64:
		return fmt.Sprint(v), nil
	}
	return fmt.Sprint(value), errors.New("must be a string, a number, true or false, or a list of these")
}

// didYouMean returns "; did you mean …?" with the known name nearest to an unknown one,
// or "" if none is near.
func didYouMean(name string, known []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, k := range known {
		d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(k))
		if strings.HasPrefix(k, name) && len(name) > 2 {
			d = 1
		}
		if d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
