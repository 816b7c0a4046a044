{{- define "chancery.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "chancery.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "chancery.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "chancery.selectorLabels" -}}
app.kubernetes.io/name: {{ include "chancery.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "chancery.labels" -}}
app.kubernetes.io/name: {{ include "chancery.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: chancery
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The labels and annotations of everything. */ -}}
{{- define "chancery.meta" -}}
{{- include "chancery.metaWith" (dict "root" .) -}}
{{- end -}}

{{- /* The same with more: include "chancery.metaWith" (dict "root" . "labels" (dict ...) "annotations" (dict ...)). */ -}}
{{- define "chancery.metaWith" -}}
labels:
  {{- include "chancery.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The same for what stays when the chart is uninstalled. */ -}}
{{- define "chancery.keptMeta" -}}
{{- include "chancery.metaWith" (dict "root" . "annotations" (dict "helm.sh/resource-policy" "keep")) -}}
{{- end -}}

{{- /* The same for what is there during an upgrade alone: include "chancery.hookMeta" (dict "root" . "weight" "1"). */ -}}
{{- define "chancery.hookMeta" -}}
{{- $policy := "before-hook-creation,hook-succeeded" -}}
{{- $hook := dict "helm.sh/hook" "pre-upgrade" "helm.sh/hook-weight" .weight "helm.sh/hook-delete-policy" $policy -}}
{{- include "chancery.metaWith" (dict "root" .root "annotations" $hook) -}}
{{- end -}}

{{- define "chancery.serviceAccountName" -}}
{{- if .Values.operator.serviceAccount.create -}}
{{- default (include "chancery.fullname" .) .Values.operator.serviceAccount.name -}}
{{- else -}}
{{- required "operator.serviceAccount.name is needed where operator.serviceAccount.create is false" .Values.operator.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* The reference of an image: include "chancery.image" (dict "root" . "image" .Values.server.image). */ -}}
{{- define "chancery.image" -}}
{{- $registry := default .image.registry .root.Values.imageRegistry -}}
{{- $repository := .image.repository -}}
{{- if $registry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" $registry) .image.repository -}}
{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "chancery.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "chancery.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "chancery.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}
