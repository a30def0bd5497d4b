package randommodel

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Install writes the model and its manifest into a server's model folder, with parameters such as
// num_thread; nil for none. A running server finds it. Creating it with /api/create would copy the
// weights, since 0.30 with llama-quantize, which may be missing, and take twice as long.
func Install(models, name string, s Shape, kind Type, parameters map[string]any) error {
	blobs := filepath.Join(models, "blobs")
	weights, err := writeBlob(blobs, s, kind)
	if err != nil {
		return err
	}
	info, err := os.Stat(blobFile(blobs, weights))
	if err != nil {
		return err
	}
	layers := []layer{{"application/vnd.ollama.image.model", "sha256:" + weights, info.Size()}}
	if parameters != nil {
		l, err := jsonBlob(blobs, "application/vnd.ollama.image.params", parameters)
		if err != nil {
			return err
		}
		layers = append(layers, l)
	}
	var digests []string
	for _, l := range layers {
		digests = append(digests, l.Digest)
	}
	config, err := jsonBlob(blobs, "application/vnd.docker.container.image.v1+json", map[string]any{
		"model_format": "gguf", "model_family": "llama", "model_families": []string{"llama"}, "model_type": s.size(), "file_type": strings.ToUpper(kind.String()),
		"architecture": "amd64", "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": digests},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": config, "layers": layers})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(models, "manifests", "registry.ollama.ai", "library", name, "latest"), manifest)
}

// layer is a layer of a model's manifest.
type layer struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

func blobFile(blobs, digest string) string { return filepath.Join(blobs, "sha256-"+digest) }

// jsonBlob writes a value as a blob and returns its layer.
func jsonBlob(blobs, mediaType string, v any) (layer, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return layer{}, err
	}
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:])
	return layer{mediaType, "sha256:" + digest, int64(len(text))}, writeFile(blobFile(blobs, digest), text)
}

// writeFile atomically writes a file of the model folder.
func writeFile(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("installing the model: %w", err)
	}
	if err := os.WriteFile(file+".new", text, 0o644); err != nil {
		return fmt.Errorf("installing the model: %w", err)
	}
	return os.Rename(file+".new", file)
}
