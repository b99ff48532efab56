package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/triage-lb/triage"
)

// configPlaces are where a config file is looked for when nobody names one, in order.
var configPlaces = [...]string{"triage.yaml", "/etc/triage/triage.yaml"}

// findConfig returns the path of the config file: what flag (-c) says, else TRIAGE_CONFIG, else the first of
// configPlaces that is there. A file that somebody named counts as found; reading it tells whether it exists.
func findConfig(env *environment, flag string) (path string, found bool) {
	for _, named := range []string{flag, env.getenv("TRIAGE_CONFIG")} {
		if named != "" {
			return named, true
		}
	}
	for _, path := range configPlaces {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, true
		}
	}
	return "", false
}

// needConfig is findConfig for commands that cannot do without the file.
func needConfig(env *environment, flag string) (string, error) {
	path, found := findConfig(env, flag)
	if found {
		return path, nil
	}
	return "", &triage.Error{
		Kind:    triage.KindNotFound,
		Message: fmt.Sprintf("there is no config file: -c and TRIAGE_CONFIG name none, and neither of %s exists", strings.Join(configPlaces[:], ", ")),
		Hint:    "write triage.yaml, or name a file with -c FILE",
	}
}
