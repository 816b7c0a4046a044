{{- /* What the operator may do in each namespace that it looks at. */ -}}
{{- define "chancery.namespacedRules" -}}
- apiGroups: [chancery.dev]
  resources:
    - certificateauthorities
    - certificateprofiles
    - enrollmentmethods
    - enrollmentcredentials
    - enrollmentservers
    - chanceryissuers
    - certificaterevocations
  verbs: [get, list, watch]
# Nothing of what people write is ever written by the operator: statuses alone are.
- apiGroups: [chancery.dev]
  resources:
    - certificateauthorities/status
    - certificateprofiles/status
    - enrollmentmethods/status
    - enrollmentcredentials/status
    - enrollmentservers/status
    - chanceryissuers/status
    - certificaterevocations/status
  verbs: [patch]
# Parts and manifests for servers, values of credentials, keys in its own namespace. Secrets that resources refer to are
# read by name; all others are watched by their metadata alone, which RBAC cannot tell apart.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [configmaps, services, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
# The StatefulSet makes the claim; the operator tells it to grow.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [statefulsets, deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# The role of a server's own account, which is: read the Secrets of its namespace. Nobody can grant what they do not have.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [cert-manager.io]
  resources: [certificaterequests]
  verbs: [list, watch]
- apiGroups: [cert-manager.io]
  resources: [certificaterequests/status]
  verbs: [patch]
{{- end -}}
