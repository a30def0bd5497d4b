package checkpoint

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// Fresh says when an existing checkpoint is moved aside, so that the sweep starts anew.
type Fresh int

// The values of Config.Fresh.
const (
	FreshNever   Fresh = iota
	FreshAlways        // except where the same run began it, see Header.Run
	FreshChanged       // where it belongs to another sweep: another model, server or prompt
)

// freshChanged is FreshChanged in a config or a flag.
const freshChanged = "changed"

// ParseFresh reads true, false or changed.
func ParseFresh(s string) (Fresh, error) {
	if s == freshChanged {
		return FreshChanged, nil
	}
	always, err := strconv.ParseBool(s)
	switch {
	case err != nil:
		return FreshNever, fmt.Errorf("expected true, false or %s, got %q", freshChanged, s)
	case always:
		return FreshAlways, nil
	}
	return FreshNever, nil
}

// UnmarshalYAML reads true, false or changed.
func (f *Fresh) UnmarshalYAML(n *yaml.Node) error {
	if n.ShortTag() != "!!bool" && n.Value != freshChanged {
		return strictyaml.Expected("true, false or "+freshChanged, n)
	}
	return strictyaml.Scalar(n, f, "true, false or "+freshChanged, ParseFresh)
}

// ErrOtherSweep is the error of a checkpoint whose identity differs from that of the current sweep.
var ErrOtherSweep = errors.New("belongs to another sweep")

// OtherSweepError is ErrOtherSweep with the checkpoint and the difference.
type OtherSweepError struct {
	Path string
	Diff string // the field that differs, with both values
}

func (e *OtherSweepError) Error() string {
	return fmt.Sprintf("checkpoint %q %v: %s; use another -out folder, or start anew with -fresh, which keeps the file under another name", e.Path, ErrOtherSweep, e.Diff)
}

// Unwrap returns ErrOtherSweep.
func (e *OtherSweepError) Unwrap() error { return ErrOtherSweep }

// Open is OpenStore, which moves an existing checkpoint aside where fresh says so.
func Open(dir string, h Header, fresh Fresh, now time.Time) (*Store, error) {
	always := fresh == FreshAlways && !isOfRun(h.Run, dir)
	s, err := OpenStore(dir, h, always, now)
	var other *OtherSweepError
	if fresh != FreshChanged || !errors.As(err, &other) {
		return s, err
	}
	if s, err = OpenStore(dir, h, true, now); err != nil {
		return nil, err
	}
	s.Note = fmt.Sprintf("the sweep started anew, because %s; %s", other.Diff, s.Note)
	s.Warn(s.Note)
	return s, nil
}

// isOfRun reports whether the run began the checkpoint of the folder.
func isOfRun(run, dir string) bool {
	if run == "" {
		return false
	}
	cp, err := Load(filepath.Join(dir, FileName))
	return err == nil && cp.Sweep.Run == run
}
