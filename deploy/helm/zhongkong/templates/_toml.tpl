{{- /*
zhongkong.toml from .Values.config, whatever its keys: what they mean, and which there are, the worker knows.
Helm's own toToml writes whole numbers as 64.0, which are no whole numbers in TOML.
*/ -}}
{{- define "zhongkong.toml" -}}
{{- range $key, $value := . }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value) (include "zhongkong.toml.isTables" $value)) }}
{{ include "zhongkong.toml.key" $key }} = {{ include "zhongkong.toml.value" $value }}
{{- end }}
{{- end }}
{{- range $key, $value := . }}
{{- if kindIs "map" $value }}

[{{ include "zhongkong.toml.key" $key }}]
{{- include "zhongkong.toml.pairs" $value }}
{{- end }}
{{- end }}
{{- range $key, $value := . }}
{{- if include "zhongkong.toml.isTables" $value }}
{{- range $value }}

[[{{ include "zhongkong.toml.key" $key }}]]
{{- include "zhongkong.toml.pairs" . }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Whether it is a list of tables. */ -}}
{{- define "zhongkong.toml.isTables" -}}
{{- if kindIs "slice" . -}}
{{- if . -}}
{{- if kindIs "map" (first .) -}}yes{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "zhongkong.toml.pairs" -}}
{{- range $key, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{ include "zhongkong.toml.key" $key }} = {{ include "zhongkong.toml.value" $value }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "zhongkong.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . -}}{{ . }}{{- else -}}{{ toJson . }}{{- end -}}
{{- end -}}

{{- /* A text of JSON is one of TOML. */ -}}
{{- define "zhongkong.toml.value" -}}
{{- if kindIs "string" . -}}
{{ toJson . }}
{{- else if kindIs "bool" . -}}
{{ . }}
{{- else if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- else if kindIs "slice" . -}}
{{- $values := list -}}
{{- range . -}}{{- $values = append $values (include "zhongkong.toml.value" .) -}}{{- end -}}
[{{ join ", " $values }}]
{{- else if kindIs "map" . -}}
{{- $pairs := list -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $pairs = append $pairs (printf "%s = %s" (include "zhongkong.toml.key" $key) (include "zhongkong.toml.value" $value)) -}}
{{- end -}}
{{- end -}}
{ {{ join ", " $pairs }} }
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}
