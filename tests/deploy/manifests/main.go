// Command manifests reads what `helm template` prints, and says what a cluster would say of it: no field is unknown, the
// API server's own validation passes, pods are admitted at the level "restricted", and what refers to something finds it.
//
//	helm template … | manifests                             judge
//	helm template … | manifests Kind FIELD…                 print one value: ConfigMap data zhongkong.toml
//
// It needs neither a cluster nor the network: the rules are those of Kubernetes' own packages.
package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	podsecurity "k8s.io/pod-security-admission/api"
	podpolicy "k8s.io/pod-security-admission/policy"
)

func main() {
	documents, err := read(os.Stdin)
	if err != nil {
		fail(err)
	}
	if len(os.Args) > 2 {
		value, err := find(documents, os.Args[1], os.Args[2:])
		if err != nil {
			fail(err)
		}
		fmt.Print(value)
		return
	}
	var objects []runtime.Object
	var problems []string
	for number, document := range documents {
		object, found := judge(document)
		for _, problem := range found {
			problems = append(problems, fmt.Sprintf("document %d: %s", number+1, problem))
		}
		if object != nil {
			objects = append(objects, object)
		}
	}
	problems = append(problems, together(objects)...)
	for _, problem := range problems {
		fmt.Fprintln(os.Stderr, problem)
	}
	if len(objects) == 0 || len(problems) > 0 {
		fail(fmt.Errorf("%d objects, %d problems", len(objects), len(problems)))
	}
	fmt.Printf("%d objects\n", len(objects))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// read splits the stream into its documents, without the empty ones.
func read(from io.Reader) ([][]byte, error) {
	var documents [][]byte
	reader := yaml.NewYAMLReader(bufio.NewReader(from))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		var value any
		if err := yaml.Unmarshal(document, &value); err != nil {
			return nil, err
		}
		if value != nil {
			documents = append(documents, document)
		}
	}
}

// find is one text or number of the first document of a kind; a Secret's data are decoded.
func find(documents [][]byte, kind string, path []string) (string, error) {
	for _, document := range documents {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal(document, &object.Object); err != nil || object.GetKind() != kind {
			continue
		}
		value := any(object.Object)
		for _, step := range path {
			switch inner := value.(type) {
			case map[string]any:
				value = inner[step]
			case []any:
				if at, err := strconv.Atoi(step); err == nil && at < len(inner) {
					value = inner[at]
				}
			}
		}
		if text, ok := value.(string); ok && kind == "Secret" && path[0] == "data" {
			decoded, err := base64.StdEncoding.DecodeString(text)
			return string(decoded), err
		}
		if value != nil {
			return fmt.Sprint(value), nil
		}
	}
	return "", fmt.Errorf("no %s has %v", kind, path)
}

// judge decodes one document strictly, and has it validated as the API server would when it is made.
func judge(document []byte) (runtime.Object, []string) {
	scheme := legacyscheme.Scheme
	_ = monitoring.AddToScheme(scheme)
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	object, _, err := decoder.Decode(document, nil, nil)
	if err != nil {
		return nil, []string{err.Error()}
	}
	switch object.(type) {
	case *monitoring.ServiceMonitor, *monitoring.PrometheusRule:
		// Of another API: its fields are known, and there are no packages with its further rules.
		return object, nil
	}
	// What is namespaced has a namespace when it is validated.
	if named, ok := object.(interface {
		GetNamespace() string
		SetNamespace(string)
	}); ok && named.GetNamespace() == "" {
		named.SetNamespace("default")
	}
	scheme.Default(object)
	internal, err := scheme.ConvertToVersion(object, runtime.InternalGroupVersioner)
	if err != nil {
		return nil, []string{err.Error()}
	}
	var list field.ErrorList
	switch internal := internal.(type) {
	case *apps.Deployment:
		list = appsvalidation.ValidateDeployment(internal, pod.GetValidationOptionsFromPodTemplate(&internal.Spec.Template, nil))
	case *core.Pod:
		list = corevalidation.ValidatePodCreate(internal, pod.GetValidationOptionsFromPodSpecAndMeta(&internal.Spec, nil, &internal.ObjectMeta, nil))
	case *core.Service:
		list = corevalidation.ValidateServiceCreate(internal)
	case *core.ConfigMap:
		list = corevalidation.ValidateConfigMap(internal)
	case *core.Secret:
		list = corevalidation.ValidateSecret(internal)
	case *policy.PodDisruptionBudget:
		list = policyvalidation.ValidatePodDisruptionBudget(internal, policyvalidation.PodDisruptionBudgetValidationOptions{})
	case *networking.NetworkPolicy:
		list = networkingvalidation.ValidateNetworkPolicy(internal, networkingvalidation.NetworkPolicyValidationOptions{})
	default:
		return nil, []string{fmt.Sprintf("%T: nothing here validates it", internal)}
	}
	var problems []string
	for _, problem := range list {
		problems = append(problems, problem.Error())
	}
	switch object := object.(type) {
	case *appsv1.Deployment:
		problems = append(problems, restricted(&object.Spec.Template)...)
	case *corev1.Pod:
		problems = append(problems, restricted(&corev1.PodTemplateSpec{ObjectMeta: object.ObjectMeta, Spec: object.Spec})...)
	}
	return object, problems
}

// restricted is what the admission of pods has against one in a namespace of the level "restricted".
func restricted(template *corev1.PodTemplateSpec) []string {
	evaluator, err := podpolicy.NewEvaluator(podpolicy.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	level := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	result := podpolicy.AggregateCheckResults(evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec))
	if result.Allowed {
		return nil
	}
	return []string{"not restricted: " + result.ForbiddenDetail()}
}

// together is what only shows when objects are seen beside each other.
func together(objects []runtime.Object) []string {
	var problems []string
	var workers *appsv1.Deployment
	made := map[string]bool{}
	for _, object := range objects {
		switch object := object.(type) {
		case *appsv1.Deployment:
			workers = object
		case *corev1.ConfigMap:
			made["ConfigMap "+object.Name] = true
		}
	}
	if workers == nil {
		return []string{"no Deployment"}
	}
	labels := workers.Spec.Template.Labels
	ports := map[string]bool{}
	for _, port := range workers.Spec.Template.Spec.Containers[0].Ports {
		ports[port.Name] = true
	}
	selects := func(what string, selector map[string]string, wanted bool, of map[string]string) {
		fits := len(selector) > 0
		for key, value := range selector {
			fits = fits && of[key] == value
		}
		if fits != wanted {
			problems = append(problems, fmt.Sprintf("%s: selects %v of pods with %v", what, selector, of))
		}
	}
	has := func(what, port string) {
		if !ports[port] {
			problems = append(problems, fmt.Sprintf("%s: the workers have no port %q", what, port))
		}
	}
	for _, probe := range []*corev1.Probe{
		workers.Spec.Template.Spec.Containers[0].LivenessProbe,
		workers.Spec.Template.Spec.Containers[0].ReadinessProbe,
	} {
		if probe == nil || probe.HTTPGet == nil {
			problems = append(problems, "a worker is not probed")
			continue
		}
		has("probe", probe.HTTPGet.Port.StrVal)
	}
	for _, volume := range workers.Spec.Template.Spec.Volumes {
		if source := volume.ConfigMap; source != nil && volume.Name == "configuration" && !made["ConfigMap "+source.Name] {
			problems = append(problems, "the configuration's ConfigMap is not there: "+source.Name)
		}
	}
	var service *corev1.Service
	for _, object := range objects {
		if found, ok := object.(*corev1.Service); ok {
			service = found
		}
	}
	for _, object := range objects {
		switch object := object.(type) {
		case *corev1.Service:
			selects("Service", object.Spec.Selector, true, labels)
			for _, port := range object.Spec.Ports {
				has("Service", port.TargetPort.StrVal)
			}
		case *policyv1.PodDisruptionBudget:
			selects("PodDisruptionBudget", object.Spec.Selector.MatchLabels, true, labels)
		case *networkingv1.NetworkPolicy:
			selects("NetworkPolicy", object.Spec.PodSelector.MatchLabels, true, labels)
			for _, rule := range object.Spec.Ingress {
				for _, port := range rule.Ports {
					has("NetworkPolicy", port.Port.StrVal)
				}
			}
		case *monitoring.ServiceMonitor:
			if service == nil {
				problems = append(problems, "ServiceMonitor: no Service")
				continue
			}
			selects("ServiceMonitor", object.Spec.Selector.MatchLabels, true, service.Labels)
			for _, endpoint := range object.Spec.Endpoints {
				if endpoint.Port != service.Spec.Ports[0].Name {
					problems = append(problems, "ServiceMonitor: the Service has no port "+endpoint.Port)
				}
			}
		case *corev1.Pod:
			// A pod of `helm test` is no worker, and must not be sent calls.
			if service != nil {
				selects("Service", service.Spec.Selector, false, object.Labels)
			}
		}
	}
	return problems
}
