package parse

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// compute matches the line that names a device that a server will compute on. After a
// start the log has one for each device:
//
//	msg="inference compute" id=GPU-433d… library=cuda variant=v12 compute=8.9 driver=12.3 name="NVIDIA GeForce RTX 4080" total="15.7 GiB" available="15.4 GiB"
//	msg="inference compute" id=GPU-9abb… library=rocm variant="" compute=gfx1030 driver=6.3 name=1002:73bf total="16.0 GiB" available="1.3 GiB"
//	msg="inference compute" id=0 library=metal variant="" compute="" driver=0.0 name="" total="96.0 GiB" available="96.0 GiB"
//	msg="inference compute" id=0 filter_id="" library=CUDA compute=12.0 name=CUDA0 description="NVIDIA GeForce RTX 5070 Ti" libdirs=ollama,cuda_v13 driver=13.2 pci_id=0000:01:00.0 type=discrete total="15.9 GiB" available="14.7 GiB"
//	msg="inference compute" id=cpu library=cpu compute="" name=cpu description=cpu libdirs=ollama driver="" pci_id="" type="" total="31.3 GiB" available="22.2 GiB"
//
// The first three are of older versions. Source: LogDetails in
// discover/types.go, 0.10.1 and 0.17.4.
var (
	computing = []byte(`msg="inference compute"`)
	compute   = regexp.MustCompile(string(computing) + `(\s.*)`)
)

// listening is in a line of every start, before the devices:
//
//	msg="Listening on 127.0.0.1:11434 (version 0.10.1)"
var listening = []byte(`msg="Listening on `)

// attribute matches a key and its value as slog's text handler writes them.
var attribute = regexp.MustCompile(` ([a-z_]+)=("(?:[^"\\]|\\.)*"|\S*)`)

// CPU is the name of the device of a server that has found no other.
const CPU = "cpu"

// maxLine limits the length of a line in bytes. Longer lines, from a debug log, are ignored.
const maxLine = 64 << 10

// Devices returns the devices that a server computes on, according to its log of the
// newest start. Each has its name and the version of the driver's interface:
//
//	NVIDIA GeForce RTX 4080 (driver 12.3)
//
// or is CPU. They are sorted, because servers list them in the order of free memory.
// If the log does not list any, devices is nil. The error is the reader's.
func Devices(log io.Reader) (devices []string, err error) {
	err = eachLine(log, func(line []byte) {
		if bytes.Contains(line, listening) {
			devices = nil
		}
		if bytes.Contains(line, computing) { // checked first, because Plain is slow and a log can be large
			if found := compute.FindStringSubmatch(Plain(line)); found != nil {
				devices = append(devices, device(found[1]))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(devices)
	return devices, nil
}

// HasStart reports whether a log has a line that Devices or Environment parse, and how many of
// its bytes are complete lines; the rest is still being written. The error is the reader's.
func HasStart(log io.Reader) (found bool, whole int64, err error) {
	lines := bufio.NewReaderSize(log, maxLine)
	for read := int64(0); ; {
		line, err := lines.ReadSlice('\n')
		read += int64(len(line))
		switch {
		case err == nil:
			whole = read
		case err == io.EOF:
			return found, whole, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return found, whole, err
		}
		line = unwrapLine(line)
		found = found || bytes.Contains(line, listening) || bytes.Contains(line, computing) || bytes.Contains(line, serverConfig)
	}
}

// eachLine calls the function with every line of a log that is not longer than maxLine. The error is
// the reader's.
func eachLine(log io.Reader, look func(line []byte)) error {
	lines := bufio.NewReaderSize(log, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			line = nil
			_, err = lines.ReadSlice('\n')
		}
		look(unwrapLine(line))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// device formats the attributes of a line as a device.
func device(attributes string) string {
	of := make(map[string]string)
	for _, a := range attribute.FindAllStringSubmatch(attributes, -1) {
		value := a[2]
		if text, err := strconv.Unquote(value); err == nil {
			value = text
		}
		of[a[1]] = value
	}
	library := strings.ToLower(of["library"])
	if library == CPU {
		return CPU
	}
	name := cmp.Or(of["description"], of["name"], library, "unknown") // in newer versions, name is only a number
	var more []string
	if library == "rocm" && of["compute"] != "" {
		more = append(more, of["compute"]) // because the name can be a PCI ID
	}
	if driver := of["driver"]; driver != "" && driver != "0.0" {
		more = append(more, "driver "+driver)
	}
	if len(more) > 0 {
		name += " (" + strings.Join(more, ", ") + ")"
	}
	return name
}
