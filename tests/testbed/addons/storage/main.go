// Command storage makes volumes for claims of the storage class "testbed-hostpath": a directory on the node for each,
// removed again when the claim is deleted.
//
// The volumes are of type `local`, not `hostPath`: the kubelet applies a pod's fsGroup to the former only, and a
// directory that belongs to root is what an ordinary user gets from a real disk without fsGroup.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	provisioner = "testbed/hostpath"
	// The controller manager says with these whose turn it is, and the scheduler where the pod will run.
	ours         = "volume.kubernetes.io/storage-provisioner"
	selectedNode = "volume.kubernetes.io/selected-node"
	madeBy       = "pv.kubernetes.io/provisioned-by"
)

type storage struct {
	client kubernetes.Interface
	root   string
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig; in-cluster when empty")
	root := flag.String("root", "", "directory that holds the volumes")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	s := storage{kubernetes.NewForConfigOrDie(config), *root}

	factory := informers.NewSharedInformerFactory(s.client, time.Minute)
	claims := factory.Core().V1().PersistentVolumeClaims().Informer()
	volumes := factory.Core().V1().PersistentVolumes().Informer()
	wake := make(chan struct{}, 1)
	kick := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { kick() },
		UpdateFunc: func(any, any) { kick() },
		DeleteFunc: func(any) { kick() },
	}
	claims.AddEventHandler(handler)
	volumes.AddEventHandler(handler)
	ctx := context.Background()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	// One pass over everything per wake-up; what fails is tried again at the next resync, a minute later at most.
	for range wake {
		for _, o := range claims.GetStore().List() {
			claim := o.(*corev1.PersistentVolumeClaim)
			if err := s.provision(ctx, claim); err != nil {
				log.Printf("%s/%s: %v", claim.Namespace, claim.Name, err)
			}
		}
		for _, o := range volumes.GetStore().List() {
			volume := o.(*corev1.PersistentVolume)
			if err := s.reclaim(ctx, volume); err != nil {
				log.Printf("%s: %v", volume.Name, err)
			}
		}
	}
}

// provision makes the directory and the volume of a claim that a pod is waiting for.
func (s storage) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	node := claim.Annotations[selectedNode]
	if claim.Annotations[ours] != provisioner || node == "" || claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil {
		return nil
	}
	class, err := s.client.StorageV1().StorageClasses().Get(ctx, *claim.Spec.StorageClassName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	name := "pvc-" + string(claim.UID)
	path := filepath.Join(s.root, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	_, err = s.client.CoreV1().PersistentVolumes().Create(ctx, volumeFor(claim, class, name, path, node), metav1.CreateOptions{})
	if errors.IsAlreadyExists(err) { // our own, from a pass whose result has not reached the cache yet
		return nil
	}
	if err == nil {
		log.Printf("%s/%s: %s", claim.Namespace, claim.Name, path)
	}
	return err
}

func volumeFor(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, name, path, node string) *corev1.PersistentVolume {
	hostname := corev1.NodeSelectorRequirement{
		Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{madeBy: provisioner}},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			PersistentVolumeReclaimPolicy: *class.ReclaimPolicy,
			StorageClassName:              class.Name,
			VolumeMode:                    claim.Spec.VolumeMode,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{hostname}}},
			}},
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
		},
	}
}

// reclaim removes a volume whose claim is gone, where its policy is Delete.
func (s storage) reclaim(ctx context.Context, volume *corev1.PersistentVolume) error {
	if volume.Annotations[madeBy] != provisioner || volume.Status.Phase != corev1.VolumeReleased ||
		volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || volume.DeletionTimestamp != nil {
		return nil
	}
	if err := os.RemoveAll(filepath.Join(s.root, volume.Name)); err != nil {
		return err
	}
	err := s.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{})
	if errors.IsNotFound(err) {
		return nil
	}
	return err
}
